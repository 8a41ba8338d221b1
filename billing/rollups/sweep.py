"""Roll receipts up: each exactly once, however often, late or concurrently this runs.

A transaction takes what bookings noted as due, adds the receipts between each wallet's mark and its
last booked one, moves the marks and deletes what was due. If it dies, nothing of that happened. One
sweep at a time does it; another that meets it leaves the work to it.

What the receipts say is never repaired here: a receipt that was raised after it was added makes its
quarter of an hour due, which is then added up again from the receipts.
"""

from datetime import datetime

from django.db import connection, transaction

from billing.models import RollUpDue, RollUpMark
from billing.rollups import sums
from billing.rollups.days import DAY, day_of, read_range
from billing.rollups.lock import try_lock_roll_ups
from billing.rollups.quarters import EPOCH
from billing.rollups.rebuild import add_up

# Each row is about the receipts of one wallet in one booking, of which there are 1,000 at most.
BATCH = 500

BOOKED = (
    "JOIN unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS d(wallet_id, after_id, upto_id)"
    " ON u.wallet_id = d.wallet_id AND u.id > d.after_id AND u.id <= d.upto_id"
)
RAISED = (
    f"JOIN unnest(%s::bigint[], %s::timestamptz[]) AS d(wallet_id, starts_at)"
    " ON u.wallet_id = d.wallet_id AND u.ended_at >= d.starts_at"
    f" AND u.ended_at < d.starts_at + interval '15 minutes' {sums.MARKED}"
)
RAISED_ROWS = (
    "USING unnest(%s::bigint[], %s::timestamptz[]) AS d(wallet_id, starts_at)"
    " WHERE t.wallet_id = d.wallet_id AND t.starts_at = d.starts_at"
)


def roll_up(*, batch: int = BATCH) -> int:
    """Roll up what is booked, and return how many notes of bookings were dealt with."""
    rolled_up = 0
    while True:
        done = _roll_up_batch(batch)
        rolled_up += done
        if done < batch:
            return rolled_up


@transaction.atomic
def _roll_up_batch(batch: int) -> int:
    if not try_lock_roll_ups():
        return 0
    due = list(RollUpDue.objects.order_by("pk")[:batch])
    if due:
        _add_up_again(sorted({(d.wallet_id, d.starts_at) for d in due if d.starts_at}))
        _add_new({d.wallet_id: d.record_id for d in due if d.record_id})
        RollUpDue.objects.filter(pk__in=[d.pk for d in due]).delete()
    return len(due)


def _add_new(last: dict[int, int]) -> None:
    """Add each wallet's receipts up to its last one, and move the marks there."""
    marks = dict(RollUpMark.objects.filter(wallet__in=last).values_list("wallet_id", "record_id"))
    after = [marks.get(wallet_id, 0) for wallet_id in last]
    with connection.cursor() as cursor:
        cursor.execute(sums.add(sums.of_receipts(BOOKED)), [list(last), after, list(last.values())])
    RollUpMark.objects.bulk_create(
        [RollUpMark(wallet_id=wallet, record_id=record) for wallet, record in last.items()],
        update_conflicts=True,
        unique_fields=["wallet"],
        update_fields=["record_id"],
    )


def _add_up_again(quarters: list[tuple[int, datetime]]) -> None:
    """Delete these quarters of an hour and add their receipts up to the marks again.

    One that is gone can't be taken off the sums, so its whole day is made anew.
    """
    kept_from = read_range().quarters_from or EPOCH
    for day in sorted({day_of(at) for _, at in quarters if at < kept_from}):
        add_up(day, day + DAY)
    quarters = [quarter for quarter in quarters if quarter[1] >= kept_from]
    if not quarters:
        return
    wallets, starts = map(list, zip(*quarters, strict=True))
    with connection.cursor() as cursor:
        cursor.execute(sums.take_away(RAISED_ROWS), [wallets, starts])
        cursor.execute(sums.add(sums.of_receipts(RAISED)), [wallets, starts])
        cursor.execute(sums.drop_empty("starts_at = ANY(%s)"), [starts])
