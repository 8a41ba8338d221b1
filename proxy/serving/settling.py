"""End holds: first in the journal, then in Redis, repeatedly while Redis is away.

Settling and voiding are safe to repeat, so nothing here asks whether an earlier try arrived. An
end that Redis has not acknowledged when the process stops stays open in the journal, for a worker
to adopt. A hold that Redis does not know is left to a worker at once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import structlog

from billing.exceptions import UnknownHold, WalletError
from billing.wallet.client import Settled, WalletClient
from billing.wallet.journal import Journal
from billing.wallet.usage import RequestFacts, Settlement

R = TypeVar("R")

log = structlog.get_logger(__name__)

FIRST_RETRY_S = 0.25
LAST_RETRY_S = 5.0


class Settler:
    """Ends holds for all requests of this process."""

    def __init__(self, wallet: WalletClient, journal: Journal) -> None:
        self._wallet = wallet
        self._journal = journal
        self._tasks: set[asyncio.Task[object]] = set()

    async def settle(self, facts: RequestFacts, settlement: Settlement) -> Settled | None:
        """Settle a request's hold. Returns None if Redis does not answer in time.

        That is what a command to it takes at most (`billing.wallet.connection.TIMEOUT_S`).
        """
        self._journal.end(facts, settlement)
        return await self._try(facts, lambda: self._wallet.settle(facts, settlement))

    def begin(self, facts: RequestFacts, settlement: Settlement) -> Awaitable[Settled] | None:
        """Settle a request's hold, without waiting for Redis: that is what `finish` is for.

        What is begun leaves in this turn of the event loop. None, and nothing is begun, if there is
        no connection to Redis.
        """
        begun = self._wallet.send_settlement(facts, settlement)
        if begun is not None:
            self._journal.end(facts, settlement)
        return begun

    async def finish(
        self, facts: RequestFacts, settlement: Settlement, begun: Awaitable[Settled]
    ) -> Settled | None:
        """Return what a settlement that was begun was answered. None as `settle`."""
        return await self._try(facts, lambda: self._wallet.settle(facts, settlement), first=begun)

    async def void(self, facts: RequestFacts) -> None:
        """Void the hold of a request that no upstream accepted."""
        self._journal.void(facts)
        await self._try(facts, lambda: self._wallet.void(facts))

    def spawn(self, ending: Coroutine[Any, Any, object]) -> None:
        """Run an ending in a task of its own, which outlives the present one."""
        task = asyncio.create_task(ending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def drain(self, seconds: float) -> None:
        """Wait so many seconds for endings under way; then leave the rest to the journal."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()

    async def _try(
        self,
        facts: RequestFacts,
        end: Callable[[], Awaitable[R]],
        *,
        first: Awaitable[R] | None = None,
    ) -> R | None:
        try:
            return await (first or end())
        except UnknownHold:
            self._leave(facts)
            return None
        except WalletError:
            self.spawn(self._retry(facts, end))
            return None
        except asyncio.CancelledError:
            self.spawn(self._retry(facts, end))
            raise

    async def _retry(self, facts: RequestFacts, end: Callable[[], Awaitable[R]]) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            await asyncio.sleep(pause_s)
            try:
                await end()
            except UnknownHold:
                self._leave(facts)
                return
            except WalletError:
                pause_s = min(2 * pause_s, LAST_RETRY_S)
            else:
                return

    def _leave(self, facts: RequestFacts) -> None:
        # Redis lost the hold with its data, or reaped it long ago. The worker that adopts this
        # journal asks PostgreSQL what was booked; this process can't know.
        log.error("hold_unknown_at_its_end", request_id=facts.request_id)
        self._journal.rotate_soon()
