"""The present state of a key and its wallet, for endpoints that hold nothing.

A hold is refused if its key was changed since it was read. These endpoints ask Redis the same, so
that a revoked key is refused everywhere at once. Asking counts as an inquiry: as many are allowed
per minute as requests that hold, but they are counted apart, so that reading never costs a call.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from billing.exceptions import MemberUncounted, RateLimited, WalletMissing, WalletStale
from billing.wallet.client import Balance, KeyFigures
from billing.wallet.usage import month_of
from common.rates import RateState
from proxy.errors import AuthenticationFailed, KeyPaused, NetworkRefused
from proxy.http.client_address import client_address
from proxy.http.connection import ClientConnection
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime

R = TypeVar("R")

# One that finds a stale version, one that finds no wallet in Redis, one that finds its member
# uncounted, and one that is answered.
ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Standing:
    """A key as it is now, its wallet's balance, and its spending. `month` is the request's."""

    key: KeyFacts
    balance: Balance
    figures: KeyFigures
    # Of the key's member, if they have a cap.
    member: KeyFigures
    month: int
    # The state of the inquiries per minute.
    rate: RateState


async def find_standing(
    runtime: Runtime, connection: ClientConnection, key: KeyFacts, *, is_counted: bool = True
) -> Standing:
    """Ask Redis for a key's standing.

    Counts as an inquiry unless `is_counted` is false.
    Raises as `ask_wallet`, and RateLimited, WalletRecovering.
    """
    return await ask_wallet(
        runtime,
        connection,
        key,
        lambda key: _read_standing(runtime, connection, key, is_counted=is_counted),
    )


async def ask_wallet(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    ask: Callable[[KeyFacts], Awaitable[R]],
) -> R:
    """Ask Redis on behalf of a key.

    Rereads a stale key, loads a wallet that Redis lacks, has a member counted who has a cap.

    Raises AuthenticationFailed, KeyPaused or NetworkRefused if the key was revoked, paused or
    restricted meanwhile, and what `ask` raises.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await ask(key)
        except WalletStale:
            key = await _refresh(runtime, connection, key)
        except WalletMissing:
            await runtime.loader.load(key.wallet_id)
        except MemberUncounted:
            # A count that is refused is asked for again, once the key or the wallet is up to date.
            with suppress(WalletStale, WalletMissing):
                await runtime.keys.count_member(key)
    return await ask(key)


async def count_request(runtime: Runtime, connection: ClientConnection, key: KeyFacts) -> KeyFacts:
    """Take one of a key's requests per minute before its body is read. Returns the key as it is.

    Raises as `ask_wallet` and `WalletClient.count_request`.
    """

    async def take(key: KeyFacts) -> KeyFacts:
        await runtime.wallet.count_request(
            key.wallet_id,
            key.api_key_id,
            known_version=key.wallet_version,
            month=month_of(connection.started_at_ms),
            limits=key.limits,
        )
        return key

    runtime.throttle.check(key)
    try:
        return await ask_wallet(runtime, connection, key, take)
    except RateLimited as refused:
        runtime.throttle.note(key, refused)
        raise


def is_from_allowed_network(key: KeyFacts, connection: ClientConnection) -> bool:
    """Tell whether a key may be used from the client's address."""
    if not key.allowed_networks:
        return True
    return key.may_come_from(client_address(connection.scope))


def check_network(key: KeyFacts, connection: ClientConnection) -> None:
    """Refuse a key that may not be used from the client's address. Raises NetworkRefused."""
    if not is_from_allowed_network(key, connection):
        raise NetworkRefused(str(client_address(connection.scope) or ""))


def check_running(key: KeyFacts) -> None:
    """Refuse a key that its owner paused. Raises KeyPaused."""
    if key.is_paused:
        raise KeyPaused


async def _refresh(runtime: Runtime, connection: ClientConnection, key: KeyFacts) -> KeyFacts:
    """Read a changed key anew. Raises AuthenticationFailed, KeyPaused, NetworkRefused."""
    facts = await runtime.keys.reload(key.digest)
    if not isinstance(facts, KeyFacts):
        raise AuthenticationFailed(ended=facts.why if facts else None)
    check_running(facts)
    check_network(facts, connection)
    return facts


async def _read_standing(
    runtime: Runtime, connection: ClientConnection, key: KeyFacts, *, is_counted: bool
) -> Standing:
    month = month_of(connection.started_at_ms)
    inquiry = await runtime.wallet.inquire(
        key.wallet_id,
        key.api_key_id,
        known_version=key.wallet_version,
        month=month,
        limits=key.limits,
        member_id=key.member_id,
        count=int(is_counted),
    )
    return Standing(key, inquiry.balance, inquiry.figures, inquiry.member, month, inquiry.rate)
