"""What of the evidence contradicts the promises. Every violation names whom it concerns."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.chaos.evidence import Evidence, Row
from bench.chaos.faults import Hit
from bench.chaos.probes import Prober
from bench.chaos.schedule import FREEZE_S
from bench.chaos.sightings import Seen
from bench.machine import Neighbours, stretch

# On a machine of its own.
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
        request_id = seen.billed_id or "a complete answer without x-request-id"
        receipt = evidence.receipts.get(request_id)
        if receipt is None:
            yield Violation("no request lost", request_id, "answered whole, no receipt")
            continue
        told, charged = seen.charged_credits, receipt["charged_credits"]
        if told is not None and told != charged:
            yield Violation("charged as told", request_id, f"told {told}, charged {charged}")
        # Impossible figures are passed on as they came and parked; they cost what we counted.
        is_costed = seen.usage is not None and receipt["source"] != "parked"
        if is_costed and receipt["target_credits"] != cost_of_usage(seen.usage, receipt):
            problem = f"told {seen.usage}, receipt is over {receipt['target_credits']} credits"
            yield Violation("charged as told", request_id, problem)


def find_undelivered(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is charged that the upstream did not accept, nor more than what it made costs.

    But for the prompt of a request whose process died after it had begun to send it.
    """
    accepted = accepted_by_id(evidence)
    for request_id, receipt in evidence.receipts.items():
        charged = receipt["charged_credits"]
        if not charged or was_begun(receipt):
            continue
        row = accepted.get(request_id)
        if row is None:
            problem = f"charged {charged}, never accepted"
            yield Violation("none charged without delivery", request_id, problem)
        elif charged > (most := most_cost(row, receipt)):
            problem = f"charged {charged}, what the upstream made costs {most}"
            yield Violation("none charged without delivery", request_id, problem)


def find_charged_refusals(evidence: Evidence) -> Iterator[Violation]:
    """Nothing is charged for a request that its customer was refused."""
    for seen in evidence.seen:
        if seen.outcome != "refused" or seen.request_id is None:
            continue
        receipt = evidence.receipts.get(seen.request_id)
        if receipt is not None and receipt["charged_credits"]:
            refusal = f"refused with {seen.status} {seen.error_code}"
            problem = f"{refusal}, charged {receipt['charged_credits']}"
            yield Violation("none charged without delivery", seen.request_id, problem)


def find_charged_twice(evidence: Evidence) -> Iterator[Violation]:
    """Who is given an earlier request's answer gets just that, and is charged nothing more."""
    first = {seen.request_id: seen for seen in evidence.seen if seen.digest and not seen.replay_of}
    for seen in evidence.seen:
        if seen.replay_of is None:
            continue
        subject = f"{seen.request_id} instead of {seen.replay_of}"
        if seen.request_id in evidence.receipts:
            yield Violation("sent again, charged once", subject, "has a receipt of its own")
        original = first.get(seen.replay_of)
        if seen.digest and original and original.digest != seen.digest:
            yield Violation("sent again, charged once", subject, "is another answer")


def find_forgotten_keys(evidence: Evidence) -> Iterator[Violation]:
    """The same Idempotency-Key is charged once, unless what is kept for it was struck meanwhile."""
    by_key: dict[tuple[int, str], list[Seen]] = {}
    for seen in evidence.seen:
        if seen.idempotency_key and seen.outcome == "complete" and seen.ended_at is not None:
            by_key.setdefault((seen.wallet_id, seen.idempotency_key), []).append(seen)
    for (wallet_id, key), answers in by_key.items():
        billed = {seen.billed_id for seen in answers}
        since = min(seen.sent_at for seen in answers)
        until = max(seen.ended_at or 0.0 for seen in answers)
        if len(billed) > 1 and not may_be_forgotten(evidence.hits, since=since, until=until):
            ids = ", ".join(sorted(map(str, billed)))
            subject = f"key {key} of wallet {wallet_id}"
            yield Violation("sent again, charged once", subject, f"is charged as {ids}")


def may_be_forgotten(hits: list[Hit], *, since: float, until: float) -> bool:
    """Tell whether an answer that is kept in Redis, or its lease, can be lost in a time.

    Redis alone has it; and a process that is frozen does not renew its lease. Such a hit is noted
    when it is over, so one soon after the time counts too.
    """
    lasts = {f"redis {how}": 0.0 for how in ("kill", "rewind", "flush", "failover")}
    lasts["web freeze"] = FREEZE_S
    return any(since <= hit.at <= until + lasts[hit.kind] for hit in hits if hit.kind in lasts)


def find_caps_passed(evidence: Evidence) -> Iterator[Violation]:
    """No key has spent more than its cap, or than that of who made it."""
    spent: dict[int, int] = {}
    for receipt in evidence.receipts.values():
        key = receipt.get("api_key_id", 0)
        spent[key] = spent.get(key, 0) + receipt["charged_credits"]
    for account in evidence.accounts:
        charged, cap = spent.get(account.api_key_id, 0), account.cap_credits
        if cap is not None and charged > cap:
            problem = f"spent {charged}, its cap is {cap}"
            yield Violation("never above a cap", f"key {account.api_key_id}", problem)


def find_overdrawn(evidence: Evidence) -> Iterator[Violation]:
    """No balance is below zero at any sampled instant."""
    for sample in evidence.overdrawn:
        subject, _, figures = sample.partition(": ")
        yield Violation("never overdrawn", subject, figures)


def find_unsound_orders(evidence: Evidence) -> Iterator[Violation]:
    """Every payment is credited once, and every refund takes its share back."""
    by_session = {row["stripe_session_id"]: row for row in evidence.orders}
    for session in evidence.sessions:
        if session["payment_status"] != "paid":
            continue
        order = by_session.get(session["id"])
        if order is None:
            yield Violation("credited exactly once", session["id"], "paid, no order")
            continue
        entries, credited = order["entries"], int(order["credited"])
        if (entries, credited) != (1, order["credits"]):
            problem = f"paid, {entries} entries over {credited} of {order['credits']} credits"
            yield Violation("credited exactly once", order["public_id"], problem)
        share = order["credits"] * session["refunded_cents"] // order["amount_cents"]
        if order["taken_back_credits"] != share:
            problem = f"took back {order['taken_back_credits']}, refunds are worth {share}"
            yield Violation("refunds are taken back", order["public_id"], problem)
    paid = {session["id"] for session in evidence.sessions if session["payment_status"] == "paid"}
    for order in evidence.orders:
        if order["entries"] and order["stripe_session_id"] not in paid:
            yield Violation("credited exactly once", order["public_id"], "credited, not paid")


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
    find_charged_refusals,
    find_charged_twice,
    find_forgotten_keys,
    find_caps_passed,
    find_overdrawn,
    find_unsound_orders,
]


def accepted_by_id(evidence: Evidence) -> dict[str, Row]:
    """Return what the upstream accepted, with the tokens of all tries of a request added up."""
    rows: dict[str, Row] = {}
    for row in evidence.served:
        if not row["is_accepted"] or was_refused_in_a_200(row):
            continue
        known = rows.setdefault(row["request_id"], {**row, "completion_tokens_generated": 0})
        known["completion_tokens_generated"] += row["completion_tokens_generated"]
    return rows


def was_refused_in_a_200(row: Row) -> bool:
    """Tell whether an answer was an error from its beginning, which is free and no acceptance."""
    is_error = row["fault"] == "error-event" and row["outcome"] == "failed"
    return is_error and not row["completion_tokens_delivered"]


def was_begun(receipt: Row) -> bool:
    """Tell whether it charges no more than the prompt of a request whose process died.

    Nobody knows then how much of it the upstream has read; `docs` tell customers so.
    """
    prompt = -(-receipt["prompt_tokens"] * receipt["prompt_rate"] // 1_000)
    is_prompt = not receipt["completion_tokens"] and receipt["charged_credits"] <= prompt
    return bool(receipt["outcome"] == "abandoned" and is_prompt)


def most_cost(row: Row, receipt: Row) -> int:
    """What the upstream's work costs at most, in credits, rounded up once."""
    millicredits: int = (
        row["prompt_tokens"] * receipt["prompt_rate"]
        + row["completion_tokens_generated"] * receipt["completion_rate"]
    )
    return -(-millicredits // 1_000)


def cost_of_usage(usage: Row | None, receipt: Row) -> int:
    """What a usage object costs at a receipt's price, in credits, rounded up once."""
    assert usage is not None
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    millicredits: int = (
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
    # Until the web process that was hit served again itself.
    own_seconds: float | None
    # The share of the machine that others took since the last hit.
    others: float = 0.0

    @property
    def within_s(self) -> float:
        return stretch(BACK_WITHIN_S, self.others)

    @property
    def is_late(self) -> bool:
        return self.since_last_s is None or self.since_last_s > self.within_s

    def __str__(self) -> str:
        if self.seconds is None or self.since_last_s is None:
            return f"not back after a {self.hit.kind} ({self.hit.how})"
        return (
            f"{self.seconds:.1f} s after a {self.hit.kind} ({self.hit.how}), "
            f"{self.since_last_s:.1f} s after the last hit before that; others took "
            f"{self.others:.0%} of the machine, which makes {BACK_WITHIN_S:.0f} s "
            f"{self.within_s:.0f} s"
        )


def measure_recoveries(
    hits: list[Hit], probers: list[Prober], neighbours: Neighbours
) -> list[Recovery]:
    """For each hit, when any web process answered a probe that was sent after it.

    What counts is the time since the last hit before that, because they come faster than a
    service can be back from each; the whole time is reported too. Of a lost worker or beat the
    API's customers notice nothing by itself.
    """
    return [
        measure_recovery(hit, hits, probers, neighbours)
        for hit in hits
        if hit.kind not in {"worker kill", "beat kill"}
    ]


def measure_recovery(
    hit: Hit, hits: list[Hit], probers: list[Prober], neighbours: Neighbours
) -> Recovery:
    """Look for the first answers after a hit."""
    own_at = first_answer(hit, [prober for prober in probers if prober.role == hit.target])
    own_seconds = None if own_at is None else own_at - hit.at
    back_at = first_answer(hit, probers)
    if back_at is None:
        return Recovery(hit, None, None, own_seconds)
    last = max(other.at for other in hits if other.at < back_at)
    others = neighbours.share(last, back_at)
    return Recovery(hit, back_at - hit.at, back_at - last, own_seconds, others)


def first_answer(hit: Hit, probers: list[Prober]) -> float | None:
    """When the first answer came to a probe that was sent after a hit."""
    answered = [at for prober in probers for sent, at in prober.served if sent > hit.at]
    return min(answered, default=None)
