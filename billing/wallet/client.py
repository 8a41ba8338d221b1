"""The wallet as the web processes use it: asynchronous, over one multiplexed connection.

No answer from Redis is WalletRecovering, never "allow". A `place` whose answer was lost may have
placed a hold: its request is refused, and the hold is voided in the background. A `place` that was
never sent holds nothing, so nothing piles up here while Redis is away.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Self

import structlog
from django.conf import settings

from billing.exceptions import WalletError, WalletRecovering
from billing.wallet.commands import ending, figures, placing, shards
from billing.wallet.commands.command import Command, Reply, parse_ok
from billing.wallet.commands.ending import Settled
from billing.wallet.commands.figures import Balance, Inquiry
from billing.wallet.commands.placing import BacklogLimit, HoldRequest, Placed
from billing.wallet.commands.shards import Register
from billing.wallet.connection import CommandRefused, Connection, ConnectionLost, NotConnected
from billing.wallet.library import locate
from billing.wallet.limits import KeyFigures, Limits
from billing.wallet.usage import RequestFacts, Settlement

__all__ = [
    "Balance",
    "HoldRequest",
    "Inquiry",
    "KeyFigures",
    "Placed",
    "Settled",
    "WalletClient",
]

log = structlog.get_logger(__name__)


# Redis says this until the worker has loaded the function library into a new server.
NO_LIBRARY = "Function not found"
# The server is starting, a replica, without one, busy, out of memory, can't write its AOF, or lacks
# its cluster.
NOT_NOW = (
    *("LOADING", "READONLY", "NOREPLICAS", "MASTERDOWN"),
    *("BUSY", "OOM", "MISCONF", "CLUSTERDOWN"),
)
VOID_RETRY_S = 0.5
VOID_ATTEMPTS = 120


class WalletClient:
    """Places, extends and settles holds. One per process; safe to use from many tasks.

    It has one connection to each server, and is given that of each shard.
    """

    def __init__(
        self, connections: Sequence[Connection], *, void_retry_s: float = VOID_RETRY_S
    ) -> None:
        self._connections = connections
        self._void_retry_s = void_retry_s
        self._voiding: set[asyncio.Task[None]] = set()

    @classmethod
    async def connect(cls, urls: Sequence[str]) -> Self:
        """Return a client, given the URL of each shard's server.

        A socket is opened by the first command to its server, which may be away now.
        """
        connections = {url: Connection(url) for url in urls}
        return cls([connections[url] for url in urls])

    async def close(self) -> None:
        """Close the connections. Calls in flight fail as WalletRecovering."""
        for task in self._voiding:
            task.cancel()
        for connection in set(self._connections):
            await connection.close()

    async def place(self, hold: HoldRequest) -> Placed:
        """Hold the worst case of a request. Raises the WalletError that refuses it."""
        command = placing.place(hold, lease_ms=lease_ms(), limit=backlog_limit())
        try:
            reply: Reply = await self._connections[command.shard].command(*command.parts())
        except CommandRefused as error:
            raise refusal(command, str(error)) from error
        except NotConnected as error:
            raise WalletRecovering(str(error)) from error
        except ConnectionLost as error:
            self._void_later(hold.facts)
            raise WalletRecovering(str(error)) from error
        except asyncio.CancelledError:
            self._void_later(hold.facts)
            raise
        return placing.parse_place(reply)

    async def count_request(
        self, wallet_id: int, api_key_id: int, *, known_version: int, month: int, limits: Limits
    ) -> None:
        """Take one of the requests per minute; the request's hold is then told to take none.

        Raises RateLimited, WalletFrozen, WalletInDebt, WalletStale, WalletMissing,
        WalletRecovering.
        """
        command = placing.count_request(
            wallet_id, api_key_id, known_version=known_version, month=month, limits=limits
        )
        placing.parse_counted(await self._ask(command))

    async def quote(self, hold: HoldRequest) -> Placed:
        """Return what `place` would hold now, without holding it. Raises what `place` raises."""
        command = placing.quote(hold, lease_ms=lease_ms(), limit=backlog_limit())
        return placing.parse_place(await self._ask(command))

    async def extend(self, facts: RequestFacts, progress: Settlement) -> None:
        """Extend a hold's lease and record its progress. Raises UnknownHold, WalletRecovering."""
        parse_ok(await self._ask(ending.extend(facts, progress, lease_ms=lease_ms())))

    async def settle(self, facts: RequestFacts, settlement: Settlement) -> Settled:
        """Settle a hold at what it cost. Safe to repeat. Raises UnknownHold, WalletRecovering."""
        return ending.parse_settle(await self._ask(ending.settle(facts, settlement)))

    def send_settlement(
        self, facts: RequestFacts, settlement: Settlement
    ) -> Awaitable[Settled] | None:
        """Send a settlement in this loop iteration. What is returned is awaited as `settle` is.

        None, and nothing is sent, if there is no connection to Redis.
        """
        command = ending.settle(facts, settlement)
        answer = self._connections[command.shard].send(*command.parts())
        return None if answer is None else self._read_settled(command, answer)

    async def void(self, facts: RequestFacts) -> None:
        """Release a hold without a record. Safe to repeat. Raises UnknownHold, WalletRecovering."""
        ending.parse_ended(await self._ask(ending.void(facts)))

    async def find_register(self, wallet_id: int, request_id: str) -> Register:
        """Return a request's register. Raises UnknownHold, WalletRecovering."""
        return shards.parse_register(await self._ask(shards.register(wallet_id, request_id)))

    async def inquire(
        self,
        wallet_id: int,
        api_key_id: int,
        *,
        known_version: int,
        month: int,
        limits: Limits,
        member_id: int | None = None,
        count: int = 1,
    ) -> Inquiry:
        """Return a wallet's, a key's and its member's figures.

        Counts as `count` of the inquiries per minute. Raises WalletStale if anything changed since
        `known_version`, RateLimited, WalletMissing, MemberUncounted, WalletRecovering.
        """
        command = figures.inquire(
            wallet_id,
            api_key_id,
            known_version=known_version,
            month=month,
            limits=limits,
            member_id=member_id,
            count=count,
        )
        return figures.parse_inquiry(await self._ask(command))

    async def _read_settled(self, command: Command, answer: Awaitable[Reply]) -> Settled:
        return ending.parse_settle(await self._ask(command, answer))

    async def _ask(self, command: Command, answer: Awaitable[Reply] | None = None) -> Reply:
        """Return the reply to a command, which was sent if its `answer` is given."""
        try:
            reply = await (answer or self._connections[command.shard].command(*command.parts()))
        except ConnectionLost as error:
            raise WalletRecovering(str(error)) from error
        except CommandRefused as error:
            raise refusal(command, str(error)) from error
        return reply

    def _void_later(self, facts: RequestFacts) -> None:
        task = asyncio.create_task(self._void_until_answered(facts))
        self._voiding.add(task)
        task.add_done_callback(self._voiding.discard)

    async def _void_until_answered(self, facts: RequestFacts) -> None:
        for _ in range(VOID_ATTEMPTS):
            try:
                await self.void(facts)
            except WalletRecovering:
                await asyncio.sleep(self._void_retry_s)
            except WalletError:
                return
            else:
                return
        # Its lease will run out, and the reaper will end it.
        log.warning("hold_not_voided", request_id=facts.request_id)


def lease_ms() -> int:
    """Return how long a hold lives without being extended."""
    lease_s: int = settings.HOLD_LEASE_S
    return lease_s * 1_000


def backlog_limit() -> BacklogLimit:
    """Return how far behind the drain may be before nothing new is admitted."""
    return BacklogLimit(settings.WALLET_BACKLOG_EVENTS, settings.WALLET_BACKLOG_AGE_S * 1_000)


def refusal(command: Command, error: str) -> WalletError:
    """Return what an error reply means: the server can't serve now, or we have a defect."""
    if NO_LIBRARY in error or error.startswith(NOT_NOW):
        return WalletRecovering(error)
    return WalletError(f"{command.function}: {locate(error)}")
