"""Where a key and its wallet stand now: the question of endpoints that hold nothing.

A hold is refused if its key was changed since it was read; these endpoints ask Redis the same, so
that a revoked key is refused everywhere at once. The question counts as one of the requests per
minute: as many as may hold something, but counted apart, so that reading never costs an answer.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from billing.exceptions import WalletMissing, WalletStale
from billing.ledger.wallets import push_wallet
from billing.wallet.client import Balance, KeyFigures
from billing.wallet.usage import month_of
from common.rates import RateState
from proxy.database import in_database
from proxy.errors import AuthenticationFailed, NetworkRefused
from proxy.http.client_address import client_address
from proxy.http.connection import ClientConnection
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime

R = TypeVar("R")

# One for a stale version, one for a wallet that Redis had to be told of, and the answer.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """A key as it is now, its wallet's balance, and what it spent. `month` is the present one."""

    key: KeyFacts
    balance: Balance
    figures: KeyFigures
    month: int
    # Of requests like this one, which hold nothing.
    rate: RateState


async def find_standing(
    runtime: Runtime, connection: ClientConnection, key: KeyFacts, *, is_counted: bool = True
) -> Standing:
    """Ask where a key stands.

    It is one of the requests per minute that hold nothing, unless it was counted before.
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
    """Ask Redis on behalf of a key, and repair what this process or Redis does not know yet.

    Raises AuthenticationFailed or NetworkRefused if the key is not what it was when the request
    arrived, else as `ask`.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return await ask(key)
        except WalletStale:
            key = await _refresh(runtime, connection, key)
        except WalletMissing:
            await in_database(push_wallet, key.wallet_id)
    return await ask(key)


def is_from_allowed_network(key: KeyFacts, connection: ClientConnection) -> bool:
    """Tell whether a key may be used from where the request comes."""
    if not key.allowed_networks:
        return True
    return key.may_come_from(client_address(connection.scope))


def check_network(key: KeyFacts, connection: ClientConnection) -> None:
    """Refuse a key that may not be used from where the request comes. Raises NetworkRefused."""
    if not is_from_allowed_network(key, connection):
        raise NetworkRefused(str(client_address(connection.scope) or ""))


async def _refresh(runtime: Runtime, connection: ClientConnection, key: KeyFacts) -> KeyFacts:
    """Read a key anew that was changed meanwhile. Raises AuthenticationFailed, NetworkRefused."""
    facts = await runtime.keys.reload(key.digest)
    if facts is None:
        raise AuthenticationFailed
    check_network(facts, connection)
    return facts


async def _read_standing(
    runtime: Runtime, connection: ClientConnection, key: KeyFacts, *, is_counted: bool
) -> Standing:
    month = month_of(connection.started_at_ms)
    balance, figures, rate = await runtime.wallet.inquire(
        key.wallet_id,
        key.api_key_id,
        known_version=key.wallet_version,
        month=month,
        limits=key.limits,
        count=int(is_counted),
    )
    return Standing(key, balance, figures, month, rate)
