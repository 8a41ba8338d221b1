"""Sums by day (UTC) and by spans of days: made from quarters of an hour.

A sweep and a rebuild add to all tables in one statement (`sums.ALL`). What is older than the tables
of days is made here, a day at a time and the newest first, beside everything else.
"""

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from billing.models import RollUpRange, SiteRollUp
from billing.rollups import sums
from billing.rollups.lock import lock_roll_ups
from billing.rollups.periods import Period, midnight
from billing.rollups.quarters import EPOCH

DAY = timedelta(days=1)
MIDDAY = timedelta(hours=12)
NO_TIME = timedelta(0)
# A time, from one instant to another.
Span = tuple[datetime, datetime]
# For so long after the first worker that adds to days, one of before may still add to quarters.
PATIENCE = timedelta(hours=1)

_WITHIN = "starts_at >= %(since)s AND starts_at < %(until)s"
_FIRST = f"date_bin(%(days)s * interval '1 day', %(since)s, {sums.EPOCH})"
_LAST = f"date_bin(%(days)s * interval '1 day', %(until)s - interval '1 us', {sums.EPOCH})"
# Spans in which a time is, and all days of these.
_TOUCHED = f"starts_at >= {_FIRST} AND starts_at <= {_LAST}"
_INSIDE = f"starts_at >= {_FIRST} AND starts_at < {_LAST} + %(days)s * interval '1 day'"
_SUMS = ", ".join(sums.SPAN_SUMS)


def day_of(at: datetime) -> datetime:
    """Return when the day (UTC) began that an instant is in."""
    return midnight(at.astimezone(UTC).date())


def next_day(at: datetime) -> datetime:
    """Return `at` if a day begins then, else when the next one does."""
    return day_of(at + DAY - timedelta(microseconds=1))


def widen(since: datetime, until: datetime) -> tuple[datetime, datetime]:
    """Return the time of all spans in which a time is."""
    span = timedelta(days=max(sums.SPANS))
    return since - (since - EPOCH) % span, until + (EPOCH - until) % span


def cut(since: date, until: date, *, is_open: bool) -> dict[int, list[datetime]]:
    """Return when the spans begin that make up these days, by their length; as few as can be.

    If these are the last days that there are, it `is_open`: the last span may reach beyond them.
    """
    found: dict[int, list[datetime]] = {days: [] for days in sums.SPANS}
    while since <= until:
        days = next(
            days
            for days in sorted(sums.SPANS, reverse=True)
            if (since - EPOCH.date()).days % days == 0
            and (is_open or since + timedelta(days=days - 1) <= until)
        )
        found[days].append(midnight(since))
        since += timedelta(days=days)
    return found


def read_range() -> RollUpRange:
    """Return from which days on roll-ups are there."""
    return RollUpRange.objects.first() or RollUpRange()


def are_days_whole(since: date) -> bool:
    """Tell whether all days from this one on have their sums."""
    made_from = read_range().days_from
    return made_from is None or since >= made_from


@dataclass(slots=True)
class Cut:
    """A period as days (UTC) that have sums, and the rest of its time as quarters of an hour.

    A day that several steps divide counts in the one that has its middle. Its `moved` parts are
    in other steps: what is in them has to be taken from the one and added to the others.
    """

    days: list[datetime] = field(default_factory=list)
    moved: list[Span] = field(default_factory=list)
    rest: list[Span] = field(default_factory=list)


def cut_steps(period: Period) -> Cut:
    """Return how a period is read in few rows: by days where most of one is in one step."""
    found = Cut()
    if not are_days_whole(period.starts_at.astimezone(UTC).date()):
        found.rest.append((period.starts_at, period.ends_at))
        return found
    since = period.starts_at
    while since < period.ends_at:
        day = day_of(since)
        until = min(day + DAY, period.ends_at)
        moved = _beside_middle(period, day)
        if until - since == DAY and sum((end - start for start, end in moved), NO_TIME) <= MIDDAY:
            found.days.append(day)
            found.moved += moved
        elif found.rest and found.rest[-1][1] == since:
            found.rest[-1] = (found.rest[-1][0], until)
        else:
            found.rest.append((since, until))
        since = until
    return found


def _beside_middle(period: Period, day: datetime) -> list[Span]:
    """Return the parts of a day before and after the step that has its middle."""
    at = bisect_right(period.starts, day + MIDDAY)
    begins = max(day, period.starts[at - 1]) if at else day
    ends = min(day + DAY, period.starts[at]) if at < len(period.starts) else day + DAY
    return [part for part in ((day, begins), (ends, day + DAY)) if part[0] < part[1]]


def make_days() -> int:
    """Make the sums of the days that lack them. Safe to repeat and to stop. Returns how many."""
    made = 0
    while _make_one():
        made += 1
    return made


@transaction.atomic
def _make_one() -> bool:
    lock_roll_ups()
    found = RollUpRange.objects.exclude(days_from=None).first()
    now = timezone.now()
    if found is None or found.days_from is None:
        return False
    if found.seen_at is None:
        found.seen_at = now
        found.save(update_fields=["seen_at"])
    if found.seen_at > now - PATIENCE:
        return False
    # Two machines' clocks may differ: what ended tomorrow is there, too.
    day = min(found.days_from - DAY, now.date() + DAY)
    first = SiteRollUp.objects.order_by("starts_at").values_list("starts_at", flat=True).first()
    is_last = first is None or midnight(day) <= day_of(first)
    make_from_quarters(midnight(day), midnight(day + DAY))
    found.days_from = None if is_last else day
    found.save(update_fields=["days_from"])
    return not is_last


def make_from_quarters(since: datetime, until: datetime) -> None:
    """Make the sums of whole days anew from their quarters of an hour."""
    times = {"since": since, "until": until}
    rows = f"(SELECT * FROM {sums.USAGE} WHERE {_WITHIN}) t"  # noqa: S608  # names of tables
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {sums.DAY} WHERE {_WITHIN}", times)  # noqa: S608
        cursor.execute(sums.DAYS.insert(sums.of_days(rows)), times)
    make_spans(since, until)


def make_spans(since: datetime, until: datetime) -> None:
    """Make the spans anew that whole days are in: of one day from days, longer ones from those."""
    with connection.cursor() as cursor:
        for days in sums.SPANS:
            times: dict[str, int | datetime] = {"days": days, "since": since, "until": until}
            cursor.execute(f"DELETE FROM {sums.SPAN} WHERE days = %(days)s AND {_TOUCHED}", times)  # noqa: S608
            rows = (
                f"(SELECT * FROM {sums.DAY} WHERE {_WITHIN}) t"  # noqa: S608
                if days == 1
                else f"(SELECT wallet_id, starts_at, api_key_id, currency, {_SUMS}"  # noqa: S608
                f" FROM {sums.SPAN} WHERE days = 1 AND {_INSIDE}) t"
            )
            cursor.execute(sums.SPANS_OF_KEYS.insert(sums.of_spans(rows, [days])), times)
