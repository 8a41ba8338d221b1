"""Ask a provider about our own: its models, our usage, our balance. Bounded in time and size."""

import asyncio
import json
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import Any

from common.encryption import InvalidToken, decrypt_secret
from proxy.errors import NotAnswered, UpstreamError, UpstreamRefused
from proxy.models import ProviderAccount
from proxy.parsing.origins import origin_of
from proxy.upstreams.client import UpstreamClient
from proxy.upstreams.loading import to_key, to_upstream
from proxy.upstreams.routes import Upstream

MOST_BYTES = 8 * 1024 * 1024
MOST_CHARS = 200
PATIENCE_S = 60.0
# What the usual refusals mean, for staff.
REFUSALS = {
    401: "it does not know the key",
    403: "the key may not ask this: it takes one of the account's administrators",
    404: "it has no such address: is the base URL right, and does it tell this at all?",
    429: "it is asked too often",
}


def ask_account(account: ProviderAccount, path: str, *, is_at_root: bool = False) -> Any:
    """Ask a provider about our account: JSON, its numbers exact. Raises NotAnswered.

    A path `is_at_root` of the provider's host, or follows its base URL.
    """
    rows = account.provider.keys.filter(is_active=True, ejected_at=None)
    upstream = to_upstream(account.provider, [key for row in rows if (key := to_key(row))])
    if upstream is None:
        raise NotAnswered("Its address is not allowed; the log says why.")
    secret = _secret_of(account, upstream)
    if is_at_root:
        upstream = replace(upstream, base_url=origin_of(upstream.base_url))
    return ask(upstream, path, secret)


def _secret_of(account: ProviderAccount, upstream: Upstream) -> str:
    if not account.encrypted_secret:
        if not upstream.keys:
            raise NotAnswered("There is no usable key that was entered for its host.")
        return upstream.keys[0].secret
    if account.is_for_another_host:
        raise NotAnswered(f"The account's key was entered for {account.origin}: enter it again.")
    try:
        return decrypt_secret(bytes(account.encrypted_secret))
    except InvalidToken as error:
        raise NotAnswered("No key of PROVIDER_KEYS_SECRET opens the account's key.") from error


def ask(upstream: Upstream, path: str, secret: str) -> Any:
    """Get JSON from a provider, with its numbers exact. Raises NotAnswered."""
    try:
        body = asyncio.run(_fetch(upstream, path, secret))
        return json.loads(body, parse_float=Decimal, parse_constant=_refuse)
    except UpstreamRefused as error:
        words = REFUSALS.get(error.status, "it refuses")
        theirs = str(error.error.get("message") or "")
        for each in (secret, *upstream.secrets):
            theirs = theirs.replace(each, "…")
        theirs = theirs[:MOST_CHARS]
        wait = "" if error.retry_after_s is None else f" It asks to wait {error.retry_after_s:g} s."
        raise NotAnswered(
            f"{error.status}, {words}.{wait}{f' It says: {theirs}' if theirs else ''}",
            status=error.status,
            retry_after_s=error.retry_after_s,
        ) from error
    except (UpstreamError, TimeoutError) as error:
        raise NotAnswered(f"No answer came: {error or 'it took too long'}.") from error
    except (ValueError, RecursionError) as error:
        raise NotAnswered("Its answer is no JSON.", status=200) from error


async def _fetch(upstream: Upstream, path: str, secret: str) -> bytes:
    client = await UpstreamClient.connect(max_connections=1)
    try:
        async with asyncio.timeout(PATIENCE_S):
            request_id = f"ask-{uuid.uuid4().hex}"
            answer = await client.get(upstream, path, secret=secret, request_id=request_id)
            try:
                return await answer.read(MOST_BYTES)
            finally:
                await answer.close()
    finally:
        await client.close()


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is no number.")
