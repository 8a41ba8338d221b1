"""What each ending of a request is charged.

An answer that came whole is charged as reported, or by our count if nothing was reported.
One that the client cut short is charged for the prompt and what was delivered, one that the
upstream broke likewise if anything of it was delivered and else nothing; never more than held.
Figures that can't be true are parked for staff, and our own count is charged.
"""

import asyncio
import time

import structlog

from billing.catalogue.costs import cost_nanos
from billing.catalogue.pricing import cost_credits
from billing.models import UsageRecord
from billing.wallet.usage import Settlement
from proxy.errors import ImpossibleUsage
from proxy.metering.answers import JsonAnswer
from proxy.metering.streams import UNREAD_BYTES, StreamMeter
from proxy.metering.usage import Source, Usage
from proxy.serving.inflight import Call

log = structlog.get_logger(__name__)

Outcome = UsageRecord.Outcome
NOTHING = Usage(prompt_tokens=0, completion_tokens=0, source=Source.ESTIMATED)


async def settle_answer(
    call: Call,
    meter: StreamMeter | JsonAnswer,
    *,
    outcome: Outcome,
    max_completion_tokens: int,
) -> tuple[Usage, Settlement]:
    """Settle an answer, whole or not, by what its meter says; count the prompt if it must."""
    try:
        if meter.reported is None:
            usage = await estimate_usage(call, meter)
        else:
            usage = meter.usage(prompt_tokens=0, max_completion_tokens=max_completion_tokens)
    except ImpossibleUsage as error:
        # Only the reason: the figures themselves are whatever the upstream sent.
        log.error(
            "usage_parked",
            request_id=call.facts.request_id,
            provider=call.provider_name,
            reason=error.reason,
        )
        usage = await estimate_usage(call, meter)
        return usage, _settlement(
            call, usage, outcome=outcome, source=UsageRecord.Source.PARKED, is_bounded=True
        )
    return usage, settle_usage(call, usage, outcome=outcome)


def settle_usage(call: Call, usage: Usage, *, outcome: Outcome) -> Settlement:
    """Settle at a usage that is known."""
    return _settlement(
        call,
        usage,
        outcome=outcome,
        source=UsageRecord.Source(usage.source.value),
        # What was reported of a whole answer is its cost, even above the hold.
        is_bounded=outcome != Outcome.COMPLETED or usage.source is not Source.REPORTED,
    )


async def estimate_usage(call: Call, meter: StreamMeter | JsonAnswer) -> Usage:
    """Count the prompt and what came of the answer, in a thread where that is much."""
    prompt_tokens = await call.prompt.count_off_loop()
    if meter.unread_bytes <= UNREAD_BYTES:
        return meter.estimate(prompt_tokens=prompt_tokens)
    return await asyncio.to_thread(meter.estimate, prompt_tokens=prompt_tokens)


async def settle_prompt(call: Call) -> Settlement:
    """Settle a request whose client left before anything was delivered: the prompt alone."""
    prompt_tokens = await call.prompt.count_off_loop()
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=0, source=Source.ESTIMATED)
    return settle_usage(call, usage, outcome=Outcome.CLIENT_LEFT)


def settle_nothing(call: Call, *, outcome: Outcome) -> Settlement:
    """Settle an answer of which nothing was delivered: free of charge."""
    return settle_usage(call, NOTHING, outcome=outcome)


def _settlement(
    call: Call,
    usage: Usage,
    *,
    outcome: Outcome,
    source: UsageRecord.Source,
    is_bounded: bool,
) -> Settlement:
    usage = usage.count_once()
    cost = cost_credits(call.rates, usage)
    return Settlement(
        target_credits=min(cost, call.held_credits) if is_bounded else cost,
        outcome=outcome.value,
        source=source.value,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        prompt_audio_tokens=usage.prompt_audio_tokens,
        prompt_image_tokens=usage.prompt_image_tokens,
        completion_audio_tokens=usage.completion_audio_tokens,
        provider_name=call.provider_name,
        attempts=call.attempts,
        ended_at_ms=time.time_ns() // 1_000_000,
        first_byte_ms=call.first_byte_ms,
        cost_nanos=cost_nanos(call.costs, usage),
    )
