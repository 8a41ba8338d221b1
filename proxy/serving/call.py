"""A call: one admitted request, as a state machine.

    ADMITTED ── asking ──> ASKED ── it takes the request ──> ANSWERED ── ending ──> ENDED
       ^                     │
       └──── it refused ─────┴── so did it, in a 200 ──┘

Only the call's own task changes its phase; a timer and the client's leaving may interrupt it. What
each ending means for the hold and the client is a table in `endings.py`.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Protocol

from django.conf import settings

from billing.wallet.usage import RequestFacts
from proxy.errors import (
    Interrupted,
    Reason,
    UpstreamNotReached,
    UpstreamRefused,
    UpstreamTimedOut,
)
from proxy.http.connection import ClientConnection
from proxy.http.events import EventStream
from proxy.metering.answers import JsonAnswer
from proxy.metering.bounds import bound_prediction
from proxy.metering.prompt import Prompt
from proxy.metering.shapes import ECHOED, Label
from proxy.metering.streams import UNREAD_BYTES, StreamMeter
from proxy.metering.usage import Usage
from proxy.parsing.intake import Customer, customers_key
from proxy.parsing.jsonbody import OUTLINED_BYTES
from proxy.parsing.request import ModelRequest
from proxy.serving.counting import count_prompt
from proxy.serving.fair import LongWork
from proxy.upstreams.attempts import Attempt
from proxy.upstreams.catalogue import Model
from proxy.upstreams.routes import UpstreamRoute

# How long a stream whose client left waits for the upstream to accept or refuse the request: a
# refused one is free.
VERDICT_S = 0.5
IGNORED_FIELDS = "x-tokenproxy-ignored-fields"


@dataclass(frozen=True, slots=True)
class Admission:
    """An admitted request: what it asks, what is held for it, and what that allows."""

    facts: RequestFacts
    request: ModelRequest
    model: Model
    # The routes that may serve it.
    routes: tuple[UpstreamRoute, ...]
    # Counted if the upstream reports no usage.
    prompt: Prompt
    held_credits: int
    # For each answer: the client's maximum, or as much of the default as the balance affords.
    max_tokens: int
    headers: dict[str, str]

    @property
    def max_written_tokens(self) -> int:
        """The client's maximum, or what stands in for it, over all answers."""
        return self.max_tokens * self.request.generations

    def most_billed_tokens(self, route: UpstreamRoute) -> int:
        """Return the most completion tokens that a route may bill, over all answers."""
        # Predictions that did not come true are billed as written, beside the maximum.
        beside = bound_prediction(self.prompt) + beyond_maximum(self.request, [route])
        return (self.max_tokens + beside) * self.request.generations

    def body_for(self, route: UpstreamRoute) -> bytes:
        """Write the request as an upstream takes it."""
        body = self.request.upstream_body(
            model=route.upstream_model,
            max_tokens=self.max_tokens,
            intake=route.upstream.intake,
            customer=Customer(customers_key(settings.SECRET_KEY), self.facts.wallet_id),
            temperature=self.model.default_temperature,
        )
        return route.adaptation.apply(body)

    def tell_ignored(self, route: UpstreamRoute) -> None:
        """Name in the answer's headers what this route's upstream did not get of the request."""
        self.headers.pop(IGNORED_FIELDS, None)
        if ignored := self.request.reading.ignored(route.upstream.intake.extras):
            self.headers[IGNORED_FIELDS] = ignored


def beyond_maximum(request: ModelRequest, routes: Iterable[UpstreamRoute]) -> int:
    """Return the most tokens of reasoning that a route may bill beside an answer's maximum."""
    if request.own_max_tokens_field is None:
        return 0
    return max((route.reasoning_beyond_maximum for route in routes), default=0)


class Phase(Enum):
    """How far a call is."""

    ADMITTED = "no upstream has it"
    ASKED = "an upstream was sent it, and has not said whether it takes it"
    ANSWERED = "an upstream answers it"
    ENDED = "it is settled or voided"


class Observer(Protocol):
    """Keeps the answer of a call for a request that is sent again."""

    @property
    def is_recording(self) -> bool:
        """Whether the answer is needed even if the client has left."""

    @property
    def awaited_at(self) -> float:
        """When a retry was last seen waiting for the answer, by the monotonic clock."""

    def client_left(self) -> None:
        """Learn that the client left, while the call goes on for a retry."""


class Call:
    """One admitted request, from its hold to its end."""

    def __init__(
        self,
        admission: Admission,
        connection: ClientConnection,
        observer: Observer,
        work: LongWork,
    ) -> None:
        self.facts = admission.facts
        self.admission = admission
        self.connection = connection
        self.phase = Phase.ADMITTED
        # The last attempt, whatever its outcome.
        self.attempt: Attempt | None = None
        # The answer; of a stream, the part that has come so far.
        self.meter: JsonAnswer | StreamMeter | None = None
        # The client's stream, while one is passed on.
        self.stream: EventStream | None = None
        # Milliseconds from the request's arrival to the upstream's first byte.
        self.first_byte_ms: int | None = None
        # When the last attempt was begun, by the monotonic clock.
        self.asked_at = 0.0
        # Whether the journal has what that attempt costs if this process dies.
        self.is_noted = False
        # The longest silence of the upstream between two parts of a stream.
        self.longest_gap_s = 0.0
        # When its lease was last renewed, or its hold placed, by the monotonic clock.
        self.renewed_at = time.monotonic()
        # The same, but a renewal counts once Redis has taken it.
        self.held_at = self.renewed_at
        self.task = asyncio.current_task()
        self._observer = observer
        self._work = work
        self._prompt_tokens: int | None = None
        self._heard_at: float | None = None
        self._leaves_when_answered = False
        # Whether the client left a stream of which nothing was seen yet, although it costs.
        self.reads_on = False
        self._interruption: Reason | None = None
        self._is_waiting = False
        self._deadlines: dict[Reason, float] = {}
        # A count that runs in a thread; nothing else may use the meter meanwhile.
        self._counting: asyncio.Future[None] | None = None

    @property
    def may_have_run(self) -> bool:
        """Whether an upstream was sent the request and has not refused it."""
        return self.phase in {Phase.ASKED, Phase.ANSWERED}

    @contextmanager
    def asking(self, attempt: Attempt) -> Iterator[None]:
        """Limit and record the attempt in the block. Raises UpstreamTimedOut, Interrupted."""
        self._raise_interruption()
        if self.reads_on:
            # Nobody waits for another upstream's answer.
            raise Interrupted(Reason.CLIENT_LEFT)
        upstream = attempt.route.upstream
        self.attempt = attempt
        self.phase = Phase.ASKED
        self.asked_at, self.is_noted = time.monotonic(), False
        # Of an attempt that was refused in a 200, nothing was sent on.
        self.stream = self.meter = self._heard_at = None
        # An answer in one piece sends its first byte when all of it is made, so only a stream has
        # this limit. Its first event lifts it: headers alone are no answer.
        if self.facts.is_stream:
            self.limit(Reason.NO_ANSWER, upstream.first_byte_timeout_s)
        self.limit(Reason.TOO_LONG, upstream.total_timeout_s)
        try:
            with self.interruptible():
                yield
        except Interrupted as error:
            if error.reason in {Reason.NO_ANSWER, Reason.TOO_LONG}:
                raise UpstreamTimedOut(error.reason.value) from error
            raise
        except (UpstreamRefused, UpstreamNotReached):
            self._decided(Phase.ADMITTED)
            raise
        if not self.facts.is_stream:
            self.note_first_byte()
        self._decided(Phase.ANSWERED)

    @property
    def has_answer(self) -> bool:
        """Whether an upstream has begun to answer, or had."""
        return self.phase in {Phase.ANSWERED, Phase.ENDED}

    @property
    def label(self) -> Label:
        """What the answer of the last attempt says of itself."""
        assert self.attempt is not None  # noqa: S101  # there is an answer
        body = self.admission.request.body
        return Label(
            self.admission.request.model,
            self.facts.request_id,
            extras=self.attempt.route.upstream.answer_fields,
            echoed={name: body[name] for name in ECHOED if body.get(name) is not None},
        )

    def refused(self) -> bool:
        """Note that an answer turned out to be an error. False if the client has some of it."""
        if self.connection.has_started or self.phase is not Phase.ANSWERED:
            return False
        self.phase, self.stream = Phase.ADMITTED, None
        return True

    def _decided(self, phase: Phase) -> None:
        self.phase = phase
        if self._leaves_when_answered:
            self.interrupt(Reason.CLIENT_LEFT)

    def pass_on(self, stream: EventStream, meter: StreamMeter) -> None:
        """Note that the answer is being passed on: the timer watches it from now on."""
        self.stream, self.meter = stream, meter

    def note_first_byte(self) -> None:
        """Note the time when the answer begins. Later calls change nothing."""
        if self.first_byte_ms is None:
            self.first_byte_ms = self.connection.age_ms

    def heard(self) -> None:
        """Note that the upstream sent something: from now on, only its silences are limited."""
        now = time.monotonic()
        if self._heard_at is None:
            self._deadlines.pop(Reason.NO_ANSWER, None)
        elif now - self._heard_at > self.longest_gap_s:
            self.longest_gap_s = now - self._heard_at
        self._heard_at = now

    def is_held(self, credits: int) -> bool:
        """Tell whether the hold is sure to cover so much: nobody may have reaped it."""
        is_enough = credits <= self.admission.held_credits
        return is_enough and time.monotonic() < self.held_at + settings.HOLD_LEASE_S

    def end(self) -> None:
        """Note that the call is being settled or voided: the timer stops watching it."""
        self.phase, self.stream = Phase.ENDED, None

    # Interruptions.

    def limit(self, reason: Reason, seconds: float) -> None:
        """Interrupt the call for this reason after so many seconds. A later call sets it anew."""
        self._deadlines[reason] = time.monotonic() + seconds

    def interruptible(self) -> "Interruptible":
        """Allow interruptions while the block waits. Raises Interrupted."""
        return Interruptible(self)

    def begin_waiting(self) -> None:
        """Allow interruptions from now on. Raises Interrupted if one came before."""
        self._raise_interruption()
        self._is_waiting = True

    def end_waiting(self, error: BaseException | None) -> None:
        """Turn a cancellation of our own into Interrupted. Leaves any other one alone."""
        self._is_waiting = False
        if not isinstance(error, asyncio.CancelledError):
            return
        if self.task is not None and self._interruption and self.task.uncancel() == 0:
            self._raise_interruption()

    def _raise_interruption(self) -> None:
        if self._interruption is not None:
            raise Interrupted(self._interruption) from None

    def interrupt(self, reason: Reason) -> None:
        """End the present wait, or the next one. Only the first reason counts.

        Whatever ends an answer that is only read on, it is its client's leaving.
        """
        if self._interruption is not None:
            return
        self._interruption = Reason.CLIENT_LEFT if self.reads_on else reason
        if self._is_waiting and self.task is not None:
            self.task.cancel()

    def client_left(self) -> None:
        """Cancel a stream that is not recorded; give any other answer a grace to come.

        A retry may ask for the answer. One that its upstream bills anyway has CANCEL_DRAIN_S; one
        that may cost although nothing was seen of it, REASONING_DRAIN_S at least.
        """
        is_passing = self.facts.is_stream and not self._observer.is_recording
        thinks_unseen = self._thinks_unseen()
        self.reads_on = thinks_unseen and is_passing
        if self._is_billed_anyway:
            self.limit(Reason.CLIENT_LEFT, settings.CANCEL_DRAIN_S)
        elif thinks_unseen:
            grace_s = 0 if is_passing else settings.CLIENT_LEFT_GRACE_S
            self.limit(Reason.CLIENT_LEFT, max(grace_s, settings.REASONING_DRAIN_S))
        elif is_passing:
            self._cancel_stream()
        else:
            self.limit(Reason.CLIENT_LEFT, settings.CLIENT_LEFT_GRACE_S)
        if not self.facts.is_stream:
            self._observer.client_left()

    def _thinks_unseen(self) -> bool:
        """Tell whether the model may be thinking, of which the client has seen nothing."""
        return (
            self.admission.model.is_reasoning and self.may_have_run and not self._has_visible_text()
        )

    def _has_visible_text(self) -> bool:
        # While a thread counts, much text has come; nothing else may use the meter.
        if self.is_counting:
            return True
        return isinstance(self.meter, StreamMeter) and self.meter.has_text

    def leave_once_visible(self) -> None:
        """End an answer that is only read on, once something of it is seen. Raises Interrupted."""
        if self.reads_on and self._has_visible_text():
            self.reads_on = False
            if not self._is_billed_anyway:
                raise Interrupted(Reason.CLIENT_LEFT)

    @property
    def _is_billed_anyway(self) -> bool:
        """Whether the upstream bills the whole answer, so that cancelling saves nothing."""
        return self.attempt is not None and self.attempt.route.upstream.bills_after_cancel

    def _cancel_stream(self) -> None:
        """Cancel at once, or after VERDICT_S at most if the upstream has not accepted it yet."""
        if self.phase is Phase.ASKED:
            self._leaves_when_answered = True
            asyncio.get_running_loop().call_later(VERDICT_S, self.interrupt, Reason.CLIENT_LEFT)
        else:
            self.interrupt(Reason.CLIENT_LEFT)

    def check(self, now: float) -> None:
        """Interrupt the call if one of its limits has passed. Called every second."""
        for reason, deadline in self._deadlines.items():
            if now >= deadline and not self._is_awaited(reason, now):
                self.interrupt(reason)
                return
        if self.stream is None:
            return
        if self.connection.is_writing:
            if self.stream.is_stuck(now):
                self.interrupt(Reason.CLIENT_TOO_SLOW)
        elif self._is_silent(now):
            self.interrupt(Reason.SILENCE)
        else:
            self.stream.keep_alive(now)

    def _is_awaited(self, reason: Reason, now: float) -> bool:
        """Tell whether a waiting retry extends the grace of a call whose client left."""
        if reason is not Reason.CLIENT_LEFT or self._is_billed_anyway:
            return False
        return now < self._observer.awaited_at + settings.CLIENT_LEFT_GRACE_S

    def _is_silent(self, now: float) -> bool:
        if self._heard_at is None or self.attempt is None:
            return False
        return now - self._heard_at > self.attempt.route.upstream.idle_timeout_s

    # The meter.

    def quick_prompt_tokens(self) -> int | None:
        """Count the prompt if that costs next to nothing. None otherwise."""
        prompt = self.admission.prompt
        if self._prompt_tokens is None and prompt.is_quickly_counted:
            counted = prompt.count(self._work.counts.of(self.facts.wallet_id))
            self._prompt_tokens = self.admission.model.reader.within(counted, prompt)
        return self._prompt_tokens

    async def count_prompt(self) -> int:
        """Count the prompt, once for a call: its lease is renewed with the count many times."""
        if self._prompt_tokens is None:
            prompt, reader = self.admission.prompt, self.admission.model.reader
            self._prompt_tokens = await count_prompt(
                self._work, self.facts.wallet_id, prompt, reader
            )
        return self._prompt_tokens

    async def estimate(self, meter: JsonAnswer | StreamMeter) -> Usage:
        """Count the prompt and what was delivered, in a thread if that is long."""
        given = {
            "prompt_tokens": await self.count_prompt(),
            # Ours may count more than the model's own tokenizer, which the maximum was given to.
            "max_completion_tokens": self.admission.max_written_tokens,
        }
        if meter.unread_bytes <= UNREAD_BYTES:
            return meter.estimate(**given)
        return await self._work.count(self.facts.wallet_id, meter.estimate, **given)

    async def body_for(self, route: UpstreamRoute) -> bytes:
        """Write the request as an upstream takes it; a large one in its wallet's turn."""
        if self.connection.body_bytes <= OUTLINED_BYTES:
            return self.admission.body_for(route)
        return await self._work.step(self.facts.wallet_id, self.admission.body_for, route)

    async def catch_up(self, meter: StreamMeter) -> None:
        """Count the unread texts in a thread, so that other streams of this process go on."""
        self._counting = asyncio.ensure_future(
            self._work.count(self.facts.wallet_id, meter.catch_up)
        )
        await asyncio.shield(self._counting)

    @property
    def is_counting(self) -> bool:
        """Whether a thread may be using the meter."""
        return self._counting is not None

    async def counted(self) -> None:
        """Wait until no thread counts, even one whose task was cancelled."""
        if self._counting is not None:
            await asyncio.wait({self._counting})


class Interruptible:
    """A block in which a call may be interrupted. A class: a generator would be slower."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._call.begin_waiting()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._call.end_waiting(error)
