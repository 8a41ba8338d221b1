"""Check that the books add up, in PostgreSQL and against Redis. Reports; repairs nothing.

The numbers are those of the invariants in the design:

1. posted = Σ ledger entries and ≥ 0, per wallet; credited = Σ of what PostgreSQL decided;
   debt = what clawbacks did not find − what was paid of it; a debit took what its entry says
2. available ≥ 0
3. what came in = what is left + what was charged, clawed back and expired − adjustments
4. Redis agrees: base = posted + what is booked and not acknowledged, pend = Σ events,
   held = Σ open holds; at rest all of them are empty
5. one receipt per charge, charged + write-off = target, and the target is what the usage costs
6. Σ lots remaining = posted, per wallet; a lot is what its entry credited, for as long as agreed
7. fulfilled orders and the ledger name each other, with the same credits; what is taken back
   is the share of what was returned; a bonus is what its promotion adds
8. what an API key spent is the sum of its receipts, by month; Redis adds what is not booked yet,
   and holds and counts the key's open holds; the same for a member whom Redis counts
9. roll-ups are the sums of the receipts that are rolled up
10. a wallet, its orders, codes and keys are one team's, and an open team has an owner
11. what lots were sold for is the income on receipts and entries, to the last millionth; the
    revenue of an order is what of its payment stayed

PostgreSQL is read in one snapshot, so those checks are exact under traffic. So is the comparison
with Redis, see `redis_comparison.py`; only what may be late there is read again before it counts.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import connection, transaction

from billing.audit import queries as audit_queries
from billing.audit.redis_comparison import Difference, differences
from billing.audit.shards import are_books_long, queries_of_shard, shard_due
from billing.ledger.inbox import file_item
from billing.wallet.keys import SHARDS
from common.progress import Progress, unseen

TRIES = 8
# Of one audit; whoever reads these asks for all of them.
MOST_FILED = 20
PAUSE_S = 0.5


@dataclass(frozen=True, order=True)
class Finding:
    """One broken invariant: its number, the row it concerns, and the figures that differ."""

    invariant: int
    subject: str
    problem: str

    def __str__(self) -> str:
        return f"invariant {self.invariant}: {self.subject}: {self.problem}"


def audit(
    *,
    at_rest: bool = False,
    pause_s: float = PAUSE_S,
    shard: int | None = None,
    on_progress: Progress = unseen,
) -> list[Finding]:
    """Return every broken invariant; an empty list is a clean bill.

    With `shard`, of PostgreSQL's books only those of its wallets are looked at; of Redis, all.
    `on_progress` is told of each step.
    `at_rest` also demands that nothing is under way: no hold, no event, no late push.
    What may be late in Redis is read again up to TRIES - 1 times, each after `pause_s` seconds.
    Raises WalletRecovering while Redis can't be read.
    """
    found = _audit_books(shard, on_progress)
    on_progress("Redis, wallet by wallet")
    return sorted({*found, *_audit_redis(at_rest=at_rest, pause_s=pause_s)})


def audit_from(
    first: int, *, at_rest: bool = False, pause_s: float = PAUSE_S, on_progress: Progress = unseen
) -> Iterator[tuple[int, list[Finding]]]:
    """Audit shard after shard from one on, with Redis in the last one's turn; yield each when done.

    Each is a snapshot of its own, so it can be stopped and go on with the next.
    """
    for shard in range(first, SHARDS):
        on_progress(f"shard {shard} of {SHARDS}", done=shard - first, of=SHARDS - first)
        if shard < SHARDS - 1:
            yield shard, sorted(_audit_books(shard, unseen))
        else:
            yield shard, audit(at_rest=at_rest, pause_s=pause_s, shard=shard)


def audit_hourly() -> list[Finding]:
    """Audit what an hour allows: everything, or of long books the shard whose turn it is.

    Files what it finds for a person, because the next hour may look elsewhere.
    """
    findings = audit(shard=shard_due(time.time()) if are_books_long() else None)
    for finding in findings[:MOST_FILED]:
        file_item(
            kind="audit_finding",
            reference=f"{finding.invariant}: {finding.subject}"[:120],
            summary=str(finding),
        )
    return findings


def _audit_books(shard: int | None, on_progress: Progress) -> list[Finding]:
    queries = audit_queries.QUERIES if shard is None else queries_of_shard(shard)
    with transaction.atomic(), connection.cursor() as cursor:
        # Inside a test's or caller's transaction the isolation level can't be changed any more.
        if not _is_nested():
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        findings = []
        for done, (number, query) in enumerate(queries):
            step = f"books, query {done + 1} of {len(queries)}, invariant {number}"
            on_progress(step, done=done, of=len(queries))
            cursor.execute(query)
            findings += [Finding(number, str(row[0]), str(row[1])) for row in cursor.fetchall()]
        return findings


def _is_nested() -> bool:
    return len(connection.savepoint_ids) > 0


def _audit_redis(*, at_rest: bool, pause_s: float) -> list[Finding]:
    """Compare with Redis; what may be late is a finding if it stays."""
    found = list(differences(at_rest=at_rest))
    late = {_identity(each): each for each in found if each.may_pass}
    for _ in range(TRIES - 1):
        if not late:
            break
        time.sleep(pause_s)
        again = [each for each in differences(at_rest=at_rest) if each.may_pass]
        late = {_identity(each): each for each in again if _identity(each) in late}
    wrong = [each for each in found if not each.may_pass]
    return [
        Finding(each.invariant, each.subject, each.problem) for each in (*wrong, *late.values())
    ]


def _identity(difference: Difference) -> tuple[int, str, int]:
    # Without `problem`: under traffic its figures change, and the last ones are reported.
    return difference.invariant, difference.subject, difference.stays_at
