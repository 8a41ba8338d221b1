"""How long quarters of an hour are kept of each wallet: what is older is told by sums of days.

Sums by day and span and those of the whole site stay for good, and so do receipts, from which all
of it can be made again. `RollUpRange.quarters_from` tells everybody who reads, in the same
statement, so no reader sees a time twice or not at all.
"""

from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from billing.models import SiteRollUp
from billing.rollups import sums
from billing.rollups.days import DAY, day_of, read_range
from billing.rollups.lock import lock_roll_ups

log = structlog.get_logger(__name__)

# The setting's least: whoever reads less far back need not ask.
LEAST_DAYS = 100


def may_be_gone(since: datetime) -> bool:
    """Tell whether quarters of an hour of a time that began then may be gone."""
    return since < timezone.now() - timedelta(days=LEAST_DAYS)


def gone_before(since: datetime) -> datetime | None:
    """Return from when on there are quarters of a time that began then; None if all are there."""
    kept_from = read_range().quarters_from if may_be_gone(since) else None
    return kept_from if kept_from and since < kept_from else None


def forget_quarters() -> int:
    """Delete the quarters of days that are old enough. Returns how many rows.

    Each day in a transaction of its own, the oldest first. Safe to repeat and to stop. The first
    call only notes where it begins, since a worker of the release before may still compare.
    """
    forgotten = 0
    while (rows := _forget_a_day()) is not None:
        forgotten += rows
    if forgotten:
        log.info("old_rows_deleted", table=sums.USAGE, rows=forgotten)
    return forgotten


@transaction.atomic
def _forget_a_day() -> int | None:
    """Return how many rows went, None if no day may go."""
    lock_roll_ups()
    found = read_range()
    bound = day_of(timezone.now() - timedelta(days=settings.ROLL_UP_DETAIL_DAYS))
    if found.days_from is not None:
        # Days are still made of quarters.
        return None
    if found.quarters_from is None:
        first = SiteRollUp.objects.order_by("starts_at").values_list("starts_at", flat=True).first()
        found.quarters_from = min(day_of(first), bound) if first else bound
        found.save()
        return None
    if found.quarters_from >= bound:
        return None
    found.quarters_from += DAY
    found.save(update_fields=["quarters_from"])
    with connection.cursor() as cursor:
        # Also what was booked late, of days that were through.
        cursor.execute(
            f"DELETE FROM {sums.USAGE} WHERE starts_at < %s",  # noqa: S608  # a table's name
            [found.quarters_from],
        )
        return int(cursor.rowcount)
