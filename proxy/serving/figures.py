"""What this process tells of its calls, when each ends: to Prometheus, and in its line of the log.

Durations are in seconds, as Prometheus wants them; buckets reach from a short chat on a fast model
to a reasoning model's long answer.
"""

import time
from functools import cache

from prometheus_client import Counter, Histogram

from billing.token_classes import counts_of
from billing.wallet.client import Settled
from billing.wallet.usage import Settlement
from common.figures import REGISTRY
from common.request_lines import note_request
from proxy.serving.call import Call

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)
GAP_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 15, 60)
# A call that no upstream took: it has no receipt.
VOID = "void"

CALLS = Counter(
    "tokenproxy_calls",
    "Admitted calls that have ended.",
    ["model", "provider", "outcome"],
    registry=REGISTRY,
)
LATENCY = Histogram(
    "tokenproxy_call_seconds",
    "From a call's arrival to its settlement.",
    ["model"],
    buckets=SECONDS,
    registry=REGISTRY,
)
FIRST_BYTE = Histogram(
    "tokenproxy_first_byte_seconds",
    "From a call's arrival to the first byte of its answer.",
    ["model"],
    buckets=SECONDS,
    registry=REGISTRY,
)
LONGEST_GAP = Histogram(
    "tokenproxy_longest_gap_seconds",
    "The longest silence of an upstream within a stream that it had begun.",
    ["model"],
    buckets=GAP_SECONDS,
    registry=REGISTRY,
)
TOKENS = Counter(
    "tokenproxy_tokens",
    "Tokens of ended calls, by the field that counts them; parts are also in their whole.",
    ["model", "field"],
    registry=REGISTRY,
)
CHARGED = Counter(
    "tokenproxy_credits_charged", "Credits that calls were charged.", registry=REGISTRY
)
WRITTEN_OFF = Counter(
    "tokenproxy_credits_written_off",
    "Credits that calls cost beyond what could be charged.",
    registry=REGISTRY,
)

# Finding what counts for a set of labels takes longer than counting.
_calls = cache(CALLS.labels)
_latency = cache(LATENCY.labels)
_first_byte = cache(FIRST_BYTE.labels)
_longest_gap = cache(LONGEST_GAP.labels)
_tokens = cache(TOKENS.labels)


def note_end(call: Call, settlement: Settlement | None, settled: Settled | None) -> None:
    """Tell of a call that has ended: voided without a settlement, unsettled if Redis is away."""
    model = call.facts.model_name
    _tell(call, settlement, settled)
    if settlement is None:
        provider = call.attempt.provider_name if call.attempt else ""
        _calls(model, provider, VOID).inc()
        return
    _calls(model, settlement.provider_name, settlement.outcome).inc()
    _latency(model).observe(time.time() - call.facts.started_at_ms / 1_000)
    if settlement.first_byte_ms is not None:
        _first_byte(model).observe(settlement.first_byte_ms / 1_000)
    if call.longest_gap_s:
        _longest_gap(model).observe(call.longest_gap_s)
    for field, count in counts_of(settlement).items():
        if count:
            _tokens(model, field).inc(count)
    if settled is not None:
        CHARGED.inc(settled.charged_credits)
        WRITTEN_OFF.inc(max(settlement.target_credits - settled.charged_credits, 0))


def _tell(call: Call, settlement: Settlement | None, settled: Settled | None) -> None:
    attempt = call.attempt
    facts: dict[str, object] = {
        "model": call.facts.model_name,
        "provider": attempt.provider_name if attempt else "",
        "attempts": attempt.number if attempt else 0,
        "is_stream": call.facts.is_stream,
        "held_credits": call.admission.held_credits,
        "outcome": VOID if settlement is None else settlement.outcome,
    }
    if settlement is not None:
        charged = None if settled is None else settled.charged_credits
        facts |= {"charged_credits": charged, "first_byte_ms": settlement.first_byte_ms}
        facts |= {field: count for field, count in counts_of(settlement).items() if count}
    note_request(call.connection.scope, **facts)
