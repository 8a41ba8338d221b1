"""What each ending of a call settles, voids and tells the client, in one table.

| ending | no upstream has it | nothing was delivered | text was delivered | the client gets |
|---|---|---|---|---|
| completed | | | as reported, or by our count | the answer |
| broken | void | nothing | prompt and what was delivered | an error, and no end marker |
| client left | void | prompt | prompt and what was delivered | nothing |
| abandoned | nothing | prompt | prompt and what was delivered | |

A client that leaves a stream of a model that thinks first, before anything of the answer is seen,
has not stopped what its provider bills: the answer is read on until something is seen, usage comes
or REASONING_DRAIN_S have passed. Then it ends as any other that was left: as reported, within the
hold, or by our count.

*Abandoned* is for a call whose process dies. It is recorded in the journal when an upstream is sent
the request, and from the first renewal on with the lease. Only a whole answer is
charged as reported even above its hold. An upstream that tells of an error in a 200 has refused
the request if nothing of its answer was sent on, and has broken it otherwise. Figures that can't
be true are parked for staff, and our own count is charged, at most the client's maximum.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

import structlog
from django.http import HttpResponse

from billing.catalogue.costs import UNKNOWN, cost_nanos
from billing.catalogue.pricing import cost_credits, round_up
from billing.models import UsageRecord
from billing.token_classes import counts_of
from billing.wallet.client import Settled
from billing.wallet.usage import Settlement
from proxy.errors import (
    TIME_REASONS,
    AnswerBroken,
    ApiError,
    Defect,
    ImpossibleUsage,
    Interrupted,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimedOut,
    UpstreamUnavailable,
    is_client_gone,
)
from proxy.http.connection import ALREADY_SENT
from proxy.metering.answers import JsonAnswer
from proxy.metering.streams import StreamMeter
from proxy.metering.usage import Source, Usage
from proxy.serving.call import Call, Phase
from proxy.serving.figures import note_end
from proxy.serving.settling import Settler

log = structlog.get_logger(__name__)

Outcome = UsageRecord.Outcome
NOTHING = Usage(prompt_tokens=0, completion_tokens=0, source=Source.ESTIMATED)


class Charge(Enum):
    """What a call is charged."""

    VOID = "nothing, and it has no receipt"
    NOTHING = "nothing"
    METERED = "what was reported, or else the prompt and what was delivered"
    COUNTED = "the prompt and what was delivered, by our count"


@dataclass(frozen=True, slots=True)
class Row:
    """An ending's charges, by what became of the call before it."""

    unsent: Charge
    undelivered: Charge
    delivered: Charge


TABLE = {
    Outcome.COMPLETED: Row(Charge.METERED, Charge.METERED, Charge.METERED),
    Outcome.BROKEN: Row(Charge.VOID, Charge.NOTHING, Charge.METERED),
    Outcome.CLIENT_LEFT: Row(Charge.VOID, Charge.METERED, Charge.METERED),
    Outcome.ABANDONED: Row(Charge.NOTHING, Charge.COUNTED, Charge.COUNTED),
}

# The status for an upstream's failure; the first row that fits counts.
TOLD: tuple[tuple[type[Exception], int], ...] = (
    (UpstreamTimedOut, 504),
    (AnswerBroken, 502),
    (UpstreamError, 503),
    (Interrupted, 503),
)


async def end_whole(
    call: Call, settler: Settler, meter: JsonAnswer | StreamMeter
) -> tuple[Usage, Settled | None]:
    """Settle a call whose answer came whole. None if Redis does not answer in time."""
    call.meter = meter
    return await _end(call, settler, Outcome.COMPLETED)


async def end_answered(
    call: Call,
    settler: Settler,
    meter: JsonAnswer,
    answer: Callable[[Usage, int | None], Awaitable[None]],
) -> None:
    """Settle a call whose answer came in one piece, and have it sent with what it is charged.

    Up to its hold a call is charged in full. So that answer does not wait for Redis to say so: it
    leaves just after the settlement.
    """
    call.meter = meter
    usage, settlement = await _find_end(call, settler, Outcome.COMPLETED)
    assert settlement is not None  # noqa: S101  # by the table
    charged = settlement.target_credits
    begun = settler.begin(call.facts, settlement) if call.is_held(charged) else None
    if begun is None:
        settled = await _write(call, settler, settlement)
        await answer(usage, None if settled is None else settled.charged_credits)
        return
    try:
        await asyncio.sleep(0)
        await answer(usage, charged)
    finally:
        # Whether or not the client still takes its answer.
        settled = await settler.finish(call.facts, settlement, begun)
        note_end(call, settlement, settled)


async def end_broken(call: Call, settler: Settler, error: BaseException) -> HttpResponse:
    """End a call that an error broke off, and end the stream of a client that has its beginning.

    Raises the error if the client has nothing yet, or is gone.
    """
    if call.phase is Phase.ENDED:
        raise error
    stream, is_gone = call.stream, is_client_gone(error)
    ending = _end(call, settler, Outcome.CLIENT_LEFT if is_gone else Outcome.BROKEN)
    if not isinstance(error, Exception):
        # The server cancels this task, and may cancel its next await, too.
        settler.spawn(ending)
        raise error
    await ending
    if stream is None or is_gone or not stream.connection.has_started:
        raise error
    assert isinstance(call.meter, StreamMeter)  # noqa: S101  # whose stream it is
    await stream.end(call.meter.failing(failure_answer(error)))
    return ALREADY_SENT


def find_if_lost(call: Call) -> Settlement | None:
    """Return what to settle if this process died before its first progress.

    None if the prompt is long and was not counted: that is not worth it for a process that dies.
    """
    prompt_tokens = call.quick_prompt_tokens()
    if prompt_tokens is None:
        return None
    attempt, admission = call.attempt, call.admission
    cost = round_up(prompt_tokens * admission.model.rates.prompt_millicredits)
    return Settlement(
        target_credits=min(cost, admission.held_credits),
        outcome=Outcome.ABANDONED.value,
        source=UsageRecord.Source.ESTIMATED.value,
        prompt_tokens=prompt_tokens,
        cached_tokens=0,
        completion_tokens=0,
        reasoning_tokens=0,
        provider_name=attempt.provider_name if attempt else "",
        attempts=attempt.number if attempt else 0,
        ended_at_ms=time.time_ns() // 1_000_000,
    )


async def progress(call: Call) -> Settlement:
    """Return what to settle if this process died now."""
    _, settlement = await _find_settlement(call, Outcome.ABANDONED, has_run=call.may_have_run)
    assert settlement is not None  # noqa: S101  # by the table
    return settlement


def failure_answer(error: Exception) -> ApiError:
    """Return the client's error for what broke an answer. It names no upstream."""
    if isinstance(error, UpstreamRefused):
        return UpstreamUnavailable(status=502 if error.status >= 500 else 503)
    if isinstance(error, Interrupted) and error.reason in TIME_REASONS:
        return UpstreamUnavailable(status=504)
    for kind, status in TOLD:
        if isinstance(error, kind):
            return UpstreamUnavailable(status=status)
    log.error("request_failed", exc_info=error)
    return Defect()


async def _end(call: Call, settler: Settler, outcome: Outcome) -> tuple[Usage, Settled | None]:
    """End a call once: find its charge in the table, then write to the journal and to Redis."""
    usage, settlement = await _find_end(call, settler, outcome)
    return usage, await _write(call, settler, settlement)


async def _find_end(
    call: Call, settler: Settler, outcome: Outcome
) -> tuple[Usage, Settlement | None]:
    """Return how a call ends, once."""
    has_run = call.may_have_run
    call.end()
    try:
        return await _find_settlement(call, outcome, has_run=has_run)
    except asyncio.CancelledError:
        # Cancelled while it counted. The call is still settled.
        settler.spawn(_end_cancelled(call, settler, outcome, has_run=has_run))
        raise


async def _end_cancelled(call: Call, settler: Settler, outcome: Outcome, *, has_run: bool) -> None:
    _, settlement = await _find_settlement(call, outcome, has_run=has_run)
    await _write(call, settler, settlement)


async def _find_settlement(
    call: Call, outcome: Outcome, *, has_run: bool
) -> tuple[Usage, Settlement | None]:
    """Return the usage, and what to settle; None means to void."""
    if call.is_counting:
        await call.counted()
    charge = _find_charge(call, TABLE[outcome], has_run=has_run)
    if charge is Charge.VOID:
        return NOTHING, None
    return await _make_settlement(call, outcome, charge)


async def _write(call: Call, settler: Settler, settlement: Settlement | None) -> Settled | None:
    if settlement is None:
        await settler.void(call.facts)
        settled = None
    else:
        settled = await settler.settle(call.facts, settlement)
    note_end(call, settlement, settled)
    return settled


def _find_charge(call: Call, row: Row, *, has_run: bool) -> Charge:
    if not has_run:
        return row.unsent
    if row.undelivered is row.delivered:
        return row.delivered
    return row.delivered if _has_delivered(call.meter) else row.undelivered


def _has_delivered(meter: JsonAnswer | StreamMeter | None) -> bool:
    """Tell whether a part of the answer came that is charged. A stream without text is free."""
    return meter is not None and (isinstance(meter, JsonAnswer) or meter.has_text)


async def _make_settlement(
    call: Call, outcome: Outcome, charge: Charge
) -> tuple[Usage, Settlement]:
    meter, source = call.meter, None
    if charge is Charge.NOTHING:
        usage = NOTHING
    elif charge is Charge.METERED and meter is not None and meter.reported is not None:
        assert call.attempt is not None  # noqa: S101  # whose answer it is
        most = call.admission.most_billed_tokens(call.attempt.route)
        try:
            usage = meter.usage(prompt_tokens=0, max_completion_tokens=most)
        except ImpossibleUsage as error:
            # Only the reason: the figures themselves are whatever the upstream sent.
            log.error("usage_parked", **_named(call), reason=error.reason)
            usage, source = await _count(call), UsageRecord.Source.PARKED
    else:
        usage = await _count(call)
    # The reported usage of a whole answer is charged even above the hold.
    is_bounded = source is not None or (
        outcome != Outcome.COMPLETED or usage.source is not Source.REPORTED
    )
    source = source or UsageRecord.Source(usage.source.value)
    return usage, _settlement(call, usage, outcome=outcome, source=source, is_bounded=is_bounded)


async def _count(call: Call) -> Usage:
    """Count the prompt and the delivered answer."""
    if call.meter is not None:
        return await call.estimate(call.meter)
    prompt_tokens = await call.count_prompt()
    return Usage(prompt_tokens=prompt_tokens, completion_tokens=0, source=Source.ESTIMATED)


def _named(call: Call) -> dict[str, str]:
    provider = call.attempt.provider_name if call.attempt else ""
    return {"request_id": call.facts.request_id, "provider": provider}


def _settlement(
    call: Call,
    usage: Usage,
    *,
    outcome: Outcome,
    source: UsageRecord.Source,
    is_bounded: bool,
) -> Settlement:
    usage = usage.count_once()
    attempt, admission = call.attempt, call.admission
    cost = cost_credits(admission.model.rates, usage)
    return Settlement(
        target_credits=min(cost, admission.held_credits) if is_bounded else cost,
        outcome=outcome.value,
        source=source.value,
        provider_name=attempt.provider_name if attempt else "",
        attempts=attempt.number if attempt else 0,
        ended_at_ms=time.time_ns() // 1_000_000,
        first_byte_ms=call.first_byte_ms,
        cost_nanos=cost_nanos(attempt.costs if attempt else UNKNOWN, usage),
        **counts_of(usage),
    )
