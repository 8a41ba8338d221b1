"""What the verdict is given: one request that went well and one order that was paid."""

from typing import Any

from bench.chaos.evidence import Evidence
from bench.chaos.sightings import Seen
from bench.chaos.verdict import judge

RECEIPT = {
    "request_id": "req_1",
    "outcome": "completed",
    "source": "reported",
    "prompt_tokens": 8,
    "completion_tokens": 10,
    "target_credits": 18,
    "charged_credits": 18,
    "prompt_rate": 1_000,
    "cached_rate": 500,
    "completion_rate": 1_000,
}
SERVED = {
    "number": 1,
    "request_id": "req_1",
    "model": "gpt-4o",
    "is_accepted": True,
    "prompt_tokens": 8,
    "completion_tokens_generated": 10,
    "completion_tokens_delivered": 10,
    "fault": None,
    "outcome": "completed",
}
PURCHASE = {
    "public_id": "order-1",
    "stripe_session_id": "cs_1",
    "credits": 4_000,
    "amount_cents": 700,
    "taken_back_credits": 0,
    "entries": 1,
    "credited": 4_000,
}
SESSION = {"id": "cs_1", "payment_status": "paid", "refunded_cents": 0}


def evidence(
    *,
    receipt: dict[str, Any] | None = None,
    served: dict[str, Any] | None = None,
    seen: Seen | None = None,
    order: dict[str, Any] | None = None,
    session: dict[str, Any] | None = None,
) -> Evidence:
    """One request of 8 + 10 tokens that went well and one order that was paid, but for this."""
    receipts = {"req_1": {**RECEIPT, **receipt}} if receipt is not None else {"req_1": RECEIPT}
    return Evidence(
        seen=[seen] if seen else [],
        receipts=receipts,
        served=[{**SERVED, **(served or {})}],
        orders=[{**PURCHASE, **(order or {})}],
        sessions=[{**SESSION, **(session or {})}],
    )


def whole(**told: Any) -> Seen:
    return Seen("json", "gpt-4o", 1, outcome="complete", request_id="req_1", **told)


def problems(given: Evidence) -> list[str]:
    return [str(violation) for violation in judge(given)]


def replay(**told: Any) -> Seen:
    seen = whole(**told)
    seen.request_id, seen.replay_of = "req_2", "req_1"
    return seen
