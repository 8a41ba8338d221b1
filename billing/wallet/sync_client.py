"""The wallet as pages, sweeps and commands use it: synchronous, over redis-py's pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, cast

import redis
from django.conf import settings

from billing.exceptions import WalletError, WalletRecovering
from billing.wallet import calls
from billing.wallet.calls import Balance, Call, Reply
from billing.wallet.client import refusal

LIBRARY = Path(__file__).with_name("functions.lua")
LIBRARY_NAME = "tokenproxy_wallet"
TIMEOUT_S = 10


class SyncWalletClient:
    """Reads, pushes, reaps, debits and acknowledges. Safe to use from many threads."""

    def __init__(self, url: str) -> None:
        # Any: redis-py leaves `execute_command`, which FCALL needs, without types.
        self.redis: Any = redis.Redis.from_url(
            url, protocol=2, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )

    def ask(self, call: Call) -> Reply:
        """Send one call. Raises WalletRecovering if Redis is away or without our library."""
        return self.ask_many([call])[0]

    def ask_many(self, many: list[Call]) -> list[Reply]:
        """Send calls in one round trip; each is atomic, the batch is not."""
        pipeline = self.redis.pipeline(transaction=False)
        for call in many:
            pipeline.execute_command(*call.parts())
        with self.reaching():
            replies = pipeline.execute(raise_on_error=False)
        return [_checked(call, reply) for call, reply in zip(many, replies, strict=True)]

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Make a Redis that is away a WalletRecovering."""
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise WalletRecovering("Redis can't be reached.") from error

    def read_balance(self, wallet_id: int) -> Balance:
        """Return a wallet's figures. Raises WalletMissing, WalletRecovering."""
        return calls.parse_read(self.ask(calls.read(wallet_id)))

    def load_library(self) -> None:
        """Load the function library if this server lacks it or has another version.

        Loading closes every fence, so an upgrade is followed by a rebuild.
        """
        source = LIBRARY.read_text()
        if self._loaded_source() != source:
            self.redis.execute_command("FUNCTION", "LOAD", "REPLACE", source)

    def _loaded_source(self) -> str | None:
        listed = cast(
            list[Any],
            self.redis.execute_command("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY_NAME, "WITHCODE"),
        )
        for library in listed:
            # A map in RESP3, which redis-py speaks by default; a flat list in RESP2.
            pairs = (
                library.items()
                if isinstance(library, dict)
                else zip(*[iter(library)] * 2, strict=True)
            )
            fields = {_text(name): value for name, value in pairs}
            if "library_code" in fields:
                return _text(fields["library_code"])
        return None


def _checked(call: Call, reply: Any) -> Reply:
    if isinstance(reply, redis.ResponseError):
        raise refusal(call, str(reply)) from reply
    if isinstance(reply, redis.ConnectionError | redis.TimeoutError):
        raise WalletRecovering("Redis can't be reached.") from reply
    if isinstance(reply, Exception):
        raise WalletError(f"{call.function}: {reply}") from reply
    return cast(Reply, reply)


def _text(item: Any) -> str:
    return item.decode() if isinstance(item, bytes) else str(item)


@cache
def client_for(url: str) -> SyncWalletClient:
    """Return this process's client for a Redis server."""
    return SyncWalletClient(url)


def get_sync_client() -> SyncWalletClient:
    """Return this process's client."""
    return client_for(settings.REDIS_URL)
