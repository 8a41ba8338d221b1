"""The requests that this process has admitted and not yet ended, and the one timer over them.

A timer per request and limit costs more than the request. So one loop looks at all of them every
second: what has waited too long is interrupted, leases are renewed with the progress so far, and
silent streams get a comment. What happens at once, a client that leaves, does not wait for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import structlog
from django.conf import settings

from billing.catalogue.costs import UNKNOWN
from billing.catalogue.pricing import Rates
from billing.exceptions import WalletError
from billing.wallet.client import WalletClient
from billing.wallet.usage import RequestFacts, Settlement
from proxy.errors import Interrupted, Reason
from proxy.http.connection import ClientConnection
from proxy.metering.prompt import Prompt

log = structlog.get_logger(__name__)

TICK_S = 1.0
# How long a stream whose client left waits for the upstream to say whether it takes the request:
# what it refuses is free.
VERDICT_S = 0.5
# How many leases are renewed at once; the rest wait their turn.
RENEWALS_AT_ONCE = 100


class Call:
    """One admitted request. Its task is the only one that ends it; others may interrupt it."""

    def __init__(
        self,
        facts: RequestFacts,
        *,
        rates: Rates,
        held_credits: int,
        connection: ClientConnection,
        prompt: Prompt,
    ) -> None:
        self.facts = facts
        self.rates = rates
        self.held_credits = held_credits
        self.connection = connection
        # To be counted where an upstream does not.
        self.prompt = prompt
        self.provider_name = ""
        # What the provider of this try takes for it.
        self.costs = UNKNOWN
        self.attempts = 0
        # Whether an upstream was sent the request and has not refused it.
        self.may_have_run = False
        self._is_answered = False
        self._leaves_when_answered = False
        # Of a stream: the longest silence between two events.
        self.idle_timeout_s = 0.0
        # Milliseconds from the request's arrival to the upstream's first byte.
        self.first_byte_ms: int | None = None
        # What it should be charged if nothing more came; set by whoever meters it.
        self.progress: Callable[[], Awaitable[Settlement]] | None = None
        # Called when the client leaves and the call goes on for its sake.
        self.on_left: Callable[[], None] | None = None
        # The client asked for its answer to be kept, so it is wanted although nobody listens.
        self.outlives_client = False
        # Called by the timer while a stream is open.
        self.on_tick: Callable[[float], None] | None = None
        # The upstream bills the whole answer anyway, so there is nothing to cancel.
        self.bills_after_cancel = False
        self.task = asyncio.current_task()
        self._interruption: Reason | None = None
        self._is_waiting = False
        self._deadlines: dict[Reason, float] = {}

    def limit(self, reason: Reason, seconds: float | None) -> None:
        """Interrupt the call for this reason in so many seconds, unless told otherwise before."""
        if seconds is None:
            self._deadlines.pop(reason, None)
        else:
            self._deadlines[reason] = time.monotonic() + seconds

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Allow interruptions while the block waits. Raises Interrupted."""
        self._raise_interruption()
        self._is_waiting = True
        try:
            yield
        except asyncio.CancelledError:
            # A cancellation of our own is taken back; any other one goes on.
            if self.task is not None and self._interruption and self.task.uncancel() == 0:
                self._raise_interruption()
            raise
        finally:
            self._is_waiting = False

    def _raise_interruption(self) -> None:
        if self._interruption is not None:
            raise Interrupted(self._interruption) from None

    def interrupt(self, reason: Reason) -> None:
        """End the present wait, or the next one. The first reason counts."""
        if self._interruption is not None:
            return
        self._interruption = reason
        if self._is_waiting and self.task is not None:
            self.task.cancel()

    def sent(self) -> None:
        """Note that one more upstream is being sent the request."""
        self.attempts += 1
        self.may_have_run, self._is_answered = True, False

    def answered(self, *, is_refused: bool) -> None:
        """Note that the upstream has said whether it takes the request."""
        self.may_have_run, self._is_answered = not is_refused, True
        if self._leaves_when_answered:
            self.interrupt(Reason.CLIENT_LEFT)

    def on_client_left(self) -> None:
        """Cancel a stream; let a JSON answer come for a grace, as a retry may want it."""
        if self.bills_after_cancel:
            self.limit(Reason.CLIENT_LEFT, settings.CANCEL_DRAIN_S)
        elif self.facts.is_stream and not self.outlives_client:
            self._cancel_stream()
        else:
            self.limit(Reason.CLIENT_LEFT, settings.CLIENT_LEFT_GRACE_S)
        if self.on_left is not None:
            self.on_left()

    def _cancel_stream(self) -> None:
        """Cancel at once, or as soon as it is known whether there is anything to pay for."""
        if self.may_have_run and not self._is_answered:
            self._leaves_when_answered = True
            asyncio.get_running_loop().call_later(VERDICT_S, self.interrupt, Reason.CLIENT_LEFT)
        else:
            self.interrupt(Reason.CLIENT_LEFT)

    def on_awaited(self) -> None:
        """Go on for another grace: a request sent again waits for the answer of this one."""
        if self.connection.has_left and not self.bills_after_cancel:
            self.limit(Reason.CLIENT_LEFT, settings.CLIENT_LEFT_GRACE_S)

    def check(self, now: float) -> None:
        """Interrupt the call if one of its limits has passed."""
        for reason, deadline in self._deadlines.items():
            if now >= deadline:
                self.interrupt(reason)
                return


class Inflight:
    """All calls of this process."""

    def __init__(self, wallet: WalletClient) -> None:
        self._wallet = wallet
        self._calls: set[Call] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._drain_s: float | None = None
        self._renewal: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(list(self._calls))

    @contextmanager
    def track(self, call: Call) -> Iterator[None]:
        """Watch over a call while the block runs."""
        self._calls.add(call)
        self._is_empty.clear()
        call.limit(Reason.DRAIN, self._drain_s)
        call.connection.watch(call.on_client_left)
        try:
            yield
        finally:
            self._calls.discard(call)
            if not self._calls:
                self._is_empty.set()

    async def watch(self) -> None:
        """Look after all calls for as long as the process lives."""
        renewal_s = settings.HOLD_LEASE_S / 4
        next_renewal = time.monotonic() + renewal_s
        try:
            while True:
                await asyncio.sleep(TICK_S)
                now = time.monotonic()
                self.check(now)
                if now >= next_renewal:
                    next_renewal = now + renewal_s
                    self._start_renewal()
        finally:
            if self._renewal is not None:
                self._renewal.cancel()

    def check(self, now: float) -> None:
        """Interrupt what has waited too long, keep silent streams alive."""
        for call in self:
            call.check(now)
            if call.on_tick is not None:
                call.on_tick(now)

    def _start_renewal(self) -> None:
        """Renew in a task of its own: a Redis that hangs must not stop the time of every call."""
        if self._renewal is None or self._renewal.done():
            self._renewal = asyncio.create_task(self.renew_leases())

    async def renew_leases(self) -> None:
        """Renew every hold's lease with the progress so far."""
        calls = list(self)
        for start in range(0, len(calls), RENEWALS_AT_ONCE):
            batch = calls[start : start + RENEWALS_AT_ONCE]
            await asyncio.gather(*(self._renew(call) for call in batch))

    def drain(self, seconds: float) -> None:
        """Give every call, and those that still come, so many seconds to end."""
        self._drain_s = seconds
        for call in self._calls:
            call.limit(Reason.DRAIN, seconds)

    async def wait_empty(self) -> None:
        """Wait until every call has ended."""
        await self._is_empty.wait()

    async def _renew(self, call: Call) -> None:
        if call.progress is None:
            return
        try:
            await self._wallet.extend(call.facts, await call.progress())
        except WalletError:
            # The call ended meanwhile, or Redis is away: a hold survives three lost renewals.
            log.info("lease_not_renewed", request_id=call.facts.request_id)
        except Exception:
            # One call that can't say how far it got must not cost the others their leases.
            log.exception("progress_not_known", request_id=call.facts.request_id)
