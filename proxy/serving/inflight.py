"""The requests that this process has admitted and not yet ended, and the one timer over them.

A timer for each limit of each request costs more than the request. So one loop checks all calls
every second: it interrupts those that have waited too long, renews leases with the progress so
far, and sends comments into silent streams. A client's leaving interrupts its call at once.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import structlog
from django.conf import settings

from billing.exceptions import WalletError
from billing.wallet.client import WalletClient
from billing.wallet.journal import Journal
from proxy.errors import Reason
from proxy.serving.call import Call, Phase
from proxy.serving.endings import find_if_lost, progress

log = structlog.get_logger(__name__)

TICK_S = 1.0
# How long an upstream has had a request before the journal is told what it costs if this process
# dies. Most answers of one piece are there by then, and their prompts need not be counted for it.
NOTED_AFTER_S = 1.0
# How many leases are renewed at once; the rest follow, after what else waits for the event loop.
RENEWALS_AT_ONCE = 25


class Inflight:
    """All calls of this process."""

    def __init__(self, wallet: WalletClient, journal: Journal) -> None:
        self._wallet = wallet
        self._journal = journal
        self._calls: set[Call] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._drain_s: float | None = None
        self._keeping: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls))

    @contextmanager
    def track(self, call: Call) -> Iterator[None]:
        """Keep a call under the timer while the block runs."""
        self._calls.add(call)
        self._is_empty.clear()
        if self._drain_s is not None:
            call.limit(Reason.DRAIN, self._drain_s)
        call.connection.watch(call.client_left)
        try:
            yield
        finally:
            self._calls.discard(call)
            if not self._calls:
                self._is_empty.set()

    async def watch(self) -> None:
        """Run the timer for as long as the process lives."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                now = time.monotonic()
                self.check(now)
                # In a task of its own: a Redis that hangs must not stop the timer.
                if self._keeping is None or self._keeping.done():
                    self._keeping = asyncio.create_task(self._keep_record(now))
        finally:
            if self._keeping is not None:
                self._keeping.cancel()

    def check(self, now: float) -> None:
        """Interrupt calls that have waited too long, and keep silent streams alive."""
        for call in self:
            call.check(now)

    async def _keep_record(self, now: float) -> None:
        """Keep the journal and the leases up to what the calls cost by now."""
        await self.note_asked(now)
        # Each by its own clock, so that a thousand leases are not renewed in one moment.
        due_at = now - settings.HOLD_LEASE_S / 4
        await self.renew_leases([call for call in self if call.renewed_at <= due_at])

    async def note_asked(self, now: float) -> None:
        """Note what calls cost if this process dies before it has told Redis their progress."""
        for call in self:
            if call.is_noted or now < call.asked_at + NOTED_AFTER_S or not call.may_have_run:
                continue
            try:
                self._note(call)
            except Exception:
                # One prompt that can't be counted must not keep the others from the journal.
                log.exception("call_not_noted", request_id=call.facts.request_id)
            # After what else waits for the event loop: a count takes up to 0.1 ms.
            await asyncio.sleep(0)

    def _note(self, call: Call) -> None:
        call.is_noted = True
        settlement = find_if_lost(call)
        if settlement is not None:
            self._journal.ask(call.facts, call.admission.held_credits, settlement)

    async def renew_leases(self, calls: Sequence[Call]) -> None:
        """Renew holds' leases with the progress so far."""
        for start in range(0, len(calls), RENEWALS_AT_ONCE):
            batch = calls[start : start + RENEWALS_AT_ONCE]
            await asyncio.gather(*(self._renew(call) for call in batch))

    def drain(self, seconds: float) -> None:
        """Give every call, present or new, so many seconds to end."""
        self._drain_s = seconds
        for call in self._calls:
            call.limit(Reason.DRAIN, seconds)

    async def wait_empty(self) -> None:
        """Wait until every call has ended."""
        await self._is_empty.wait()

    async def _renew(self, call: Call) -> None:
        if call.phase is Phase.ENDED:
            return
        call.renewed_at = now = time.monotonic()
        try:
            await self._wallet.extend(call.facts, await progress(call))
            call.held_at = now
        except WalletError:
            # The call ended meanwhile, or Redis is away: a hold survives three lost renewals.
            log.info("lease_not_renewed", request_id=call.facts.request_id)
        except Exception:
            # One call whose progress can't be found must not cost the others their leases.
            log.exception("progress_not_known", request_id=call.facts.request_id)
