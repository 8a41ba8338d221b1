"""What of the evidence contradicts the promises. Every violation names whom it concerns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.chaos.evidence import Evidence, Row
from bench.chaos.faults import Hit
from bench.chaos.probes import Prober

BACK_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken promise: which, whom it concerns, what is wrong."""

    promise: str
    subject: str
    problem: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.subject}: {self.problem}"


def judge(evidence: Evidence) -> list[Violation]:
    """Return every violation; an empty list is an acquittal."""
    return [violation for check in CHECKS for violation in check(evidence)]


def find_lost(evidence: Evidence) -> Iterator[Violation]:
    """Every request that the upstream accepted has a receipt."""
    for request_id, row in accepted_by_id(evidence).items():
        if request_id not in evidence.receipts:
            yield Violation("no request lost", request_id, f"accepted ({row['model']}), no receipt")


def find_untold(evidence: Evidence) -> Iterator[Violation]:
    """Every answer that a customer saw whole has a receipt that says what the customer was told."""
    for seen in evidence.seen:
        if seen.outcome != "complete":
            continue
        request_id = seen.request_id or "a complete answer without x-request-id"
        receipt = evidence.receipts.get(request_id)
        if receipt is None:
            yield Violation("no request lost", request_id, "answered whole, no receipt")
            continue
        told, charged = seen.charged_credits, receipt["charged_credits"]
        if told is not None and told != charged:
            yield Violation("charged as told", request_id, f"told {told}, charged {charged}")
        if seen.usage and receipt["target_credits"] != cost_of_usage(seen.usage, receipt):
            problem = f"told {seen.usage}, receipt is over {receipt['target_credits']} credits"
            yield Violation("charged as told", request_id, problem)


def find_undelivered(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is charged that the upstream did not accept, nor more than what it made costs."""
    accepted = accepted_by_id(evidence)
    for request_id, receipt in evidence.receipts.items():
        charged = receipt["charged_credits"]
        if not charged:
            continue
        row = accepted.get(request_id)
        if row is None:
            problem = f"charged {charged}, never accepted"
            yield Violation("none charged without delivery", request_id, problem)
        elif charged > (most := most_cost(row, receipt)):
            problem = f"charged {charged}, what the upstream made costs {most}"
            yield Violation("none charged without delivery", request_id, problem)


def find_overdrawn(evidence: Evidence) -> Iterator[Violation]:
    """No balance is below zero at any sampled instant."""
    for sample in evidence.overdrawn:
        subject, _, figures = sample.partition(": ")
        yield Violation("never overdrawn", subject, figures)


def find_unsound_purchases(evidence: Evidence) -> Iterator[Violation]:
    """Every payment is credited once, and every refund takes its share back."""
    by_session = {row["stripe_session_id"]: row for row in evidence.purchases}
    for session in evidence.sessions:
        if session["payment_status"] != "paid":
            continue
        purchase = by_session.get(session["id"])
        if purchase is None:
            yield Violation("credited exactly once", session["id"], "paid, no order")
            continue
        entries, credited = purchase["entries"], int(purchase["credited"])
        if (entries, credited) != (1, purchase["credits"]):
            problem = f"paid, {entries} entries over {credited} of {purchase['credits']} credits"
            yield Violation("credited exactly once", purchase["public_id"], problem)
        share = purchase["credits"] * session["refunded_cents"] // purchase["amount_cents"]
        if purchase["clawed_back_credits"] != share:
            problem = f"clawed back {purchase['clawed_back_credits']}, refunds are worth {share}"
            yield Violation("refunds are taken back", purchase["public_id"], problem)
    paid = {session["id"] for session in evidence.sessions if session["payment_status"] == "paid"}
    for purchase in evidence.purchases:
        if purchase["entries"] and purchase["stripe_session_id"] not in paid:
            yield Violation("credited exactly once", purchase["public_id"], "credited, not paid")


def find_audit_failure(evidence: Evidence) -> Iterator[Violation]:
    """The product's own audit finds nothing."""
    if evidence.audit_code != 0:
        for line in evidence.audit_says.splitlines() or ["said nothing"]:
            yield Violation("audit_money --at-rest", f"exit {evidence.audit_code}", line)


CHECKS: list[Callable[[Evidence], Iterator[Violation]]] = [
    find_audit_failure,
    find_lost,
    find_untold,
    find_undelivered,
    find_overdrawn,
    find_unsound_purchases,
]


def accepted_by_id(evidence: Evidence) -> dict[str, Row]:
    """Return what the upstream accepted, with the tokens of all tries of a request added up."""
    rows: dict[str, Row] = {}
    for row in evidence.served:
        if not row["is_accepted"]:
            continue
        known = rows.setdefault(row["request_id"], {**row, "completion_tokens_generated": 0})
        known["completion_tokens_generated"] += row["completion_tokens_generated"]
    return rows


def most_cost(row: Row, receipt: Row) -> int:
    """What the upstream's work costs at most, in credits, rounded up once."""
    millicredits = (
        row["prompt_tokens"] * receipt["prompt_rate"]
        + row["completion_tokens_generated"] * receipt["completion_rate"]
    )
    return -(-millicredits // 1_000)


def cost_of_usage(usage: dict[str, int], receipt: Row) -> int:
    """What a usage object costs at a receipt's price, in credits, rounded up once."""
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)  # type: ignore[attr-defined]
    millicredits = (
        (usage["prompt_tokens"] - cached) * receipt["prompt_rate"]
        + cached * receipt["cached_rate"]
        + usage["completion_tokens"] * receipt["completion_rate"]
    )
    return -(-millicredits // 1_000)


@dataclass(frozen=True, slots=True)
class Recovery:
    """How long the service was away after a hit; None if it never came back."""

    hit: Hit
    # From the hit, and from the last other hit before it was back.
    seconds: float | None
    since_last_s: float | None

    @property
    def is_late(self) -> bool:
        return self.since_last_s is None or self.since_last_s > BACK_WITHIN_S


def measure_recoveries(hits: list[Hit], probers: list[Prober]) -> list[Recovery]:
    """For each hit, the first answer to a probe that was sent after it.

    A killed or frozen web process has to answer itself; for all else any of them will do. What
    counts is the time since the last hit that stood in the way, because they come faster than
    a service can be back; both are reported. Of a lost worker or beat the API's customers notice
    nothing; they are in the way of what only a worker can heal.
    """
    return [
        measure_recovery(hit, hits, probers)
        for hit in hits
        if hit.kind not in {"worker kill", "beat kill"}
    ]


def measure_recovery(hit: Hit, hits: list[Hit], probers: list[Prober]) -> Recovery:
    own = [prober for prober in probers if prober.role == hit.target]
    answers = [
        min((served for served in prober.served if served[0] > hit.at), default=None)
        for prober in own or probers
    ]
    back_at = min((answer[1] for answer in answers if answer), default=None)
    if back_at is None:
        return Recovery(hit, None, None)
    last = max(other.at for other in hits if other.at < back_at and stands_in_the_way(other, hit))
    return Recovery(hit, back_at - hit.at, back_at - last)


def stands_in_the_way(other: Hit, hit: Hit) -> bool:
    """Tell whether one hit may keep the service from being back after another."""
    is_service = other.kind.startswith(("redis", "postgres", "worker", "beat"))
    return is_service or other.target == hit.target
