"""Compare roll-ups with receipts, and make them anew from receipts."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from billing.rollups import sums
from billing.rollups.days import day_of, make_spans, next_day, read_range, widen
from billing.rollups.lock import lock_roll_ups
from billing.rollups.periods import midnight

WITHIN = "{row}.{at} >= %(since)s AND {row}.{at} < %(until)s"
ROWS = WITHIN.format(row="t", at="starts_at")
RECEIPTS = f"{sums.MARKED} WHERE {WITHIN.format(row='u', at='ended_at')}"
# A quarter of an hour that is added up again by the next sweep may differ until then, and with it
# its day.
NOT_DUE = (
    "NOT EXISTS (SELECT FROM billing_rollupdue d WHERE d.wallet_id = COALESCE(a.wallet_id,"
    " b.wallet_id) AND {due} = COALESCE(a.starts_at, b.starts_at))"
)
IS_SETTLED = {
    sums.QUARTERS: NOT_DUE.format(due="d.starts_at"),
    sums.DAYS: NOT_DUE.format(due="date_trunc('day', d.starts_at, 'UTC')"),
}
# Where receipts were raised nothing may be left of a row.
IS_LEFT = "(t.requests > 0 OR t.income_micros > 0)"


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a roll-up that is not the sum of what it is about."""

    table: str
    row: str

    def __str__(self) -> str:
        return f"{self.table}: {self.row}"


def find_differences(since: datetime, until: datetime) -> list[Difference]:
    """Return the rows between two instants, widened to days (UTC), that are wrong.

    Exact under traffic: what is read is one statement's snapshot, and a receipt counts once its
    wallet's mark has reached it.
    """
    bounds = read_range()
    since, until = day_of(since), next_day(until)
    days_from = max(since, midnight(bounds.days_from)) if bounds.days_from else since
    kept_from = bounds.quarters_from or since
    found = [
        *_compare_quarters(max(since, kept_from), until),
        *_compare_old_site(since, min(until, kept_from)),
        *_compare_days(days_from, until),
    ]
    if bounds.days_from is None:
        found += _compare_spans(*widen(since, until))
    return found


def _compare_quarters(since: datetime, until: datetime) -> Iterator[Difference]:
    usage = f"SELECT t.* FROM {sums.USAGE} t WHERE {ROWS}"  # noqa: S608  # names of tables
    site = f"SELECT t.* FROM {sums.SITE} t WHERE {ROWS}"  # noqa: S608
    of_wallets = sums.of_wallets(f"({usage}) rolled_up")
    yield from _compare(sums.QUARTERS, sums.of_receipts(RECEIPTS), usage, since, until)
    yield from _compare(sums.QUARTERS_OF_SITE, of_wallets, site, since, until)


def _compare_old_site(since: datetime, until: datetime) -> Iterator[Difference]:
    """Compare the site's quarters, where wallets have none, with receipts."""
    site = f"SELECT t.* FROM {sums.SITE} t WHERE {ROWS} AND {IS_LEFT}"  # noqa: S608
    of_wallets = sums.of_wallets(f"({sums.of_receipts(RECEIPTS)}) receipts")
    return _compare(sums.QUARTERS_OF_SITE, of_wallets, site, since, until)


def _compare_days(since: datetime, until: datetime) -> Iterator[Difference]:
    days = f"SELECT t.* FROM {sums.DAY} t WHERE {ROWS} AND {IS_LEFT}"  # noqa: S608
    of_days = sums.of_days(f"({sums.of_receipts(RECEIPTS)}) receipts")
    return _compare(sums.DAYS, of_days, days, since, until)


def _compare_spans(since: datetime, until: datetime) -> Iterator[Difference]:
    spans = f"SELECT t.* FROM {sums.SPAN} t WHERE {ROWS} AND {IS_LEFT}"  # noqa: S608
    of_spans = sums.of_spans(f"(SELECT t.* FROM {sums.DAY} t WHERE {ROWS} AND {IS_LEFT}) days")  # noqa: S608
    return _compare(sums.SPANS_OF_KEYS, of_spans, spans, since, until)


def _compare(
    table: sums.Table, right: str, written: str, since: datetime, until: datetime
) -> Iterator[Difference]:
    same = " AND ".join(f"a.{key} = b.{key}" for key in table.keys)
    names = ", ".join(f"COALESCE(a.{key}, b.{key})::text" for key in table.keys)
    columns = [", ".join(f"{row}.{name}" for name in table.columns) for row in "ab"]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT concat_ws(', ', {names}) FROM ({right}) a FULL JOIN ({written}) b ON {same}"  # noqa: S608
            f" WHERE ({columns[0]}) IS DISTINCT FROM ({columns[1]})"
            f" AND {IS_SETTLED.get(table, 'true')} ORDER BY 1",
            {"since": since, "until": until},
        )
        for (row,) in cursor.fetchall():
            yield Difference(table.name, row)


@transaction.atomic
def rebuild(since: datetime, until: datetime) -> list[Difference]:
    """Make the rows between two instants anew from receipts, and return which were wrong.

    Widened to days (UTC). Safe to repeat, and under traffic: sweeps wait for it.
    """
    lock_roll_ups()
    wrong = find_differences(since, until)
    add_up(since, until)
    return wrong


@transaction.atomic
def add_up(since: datetime, until: datetime) -> None:
    """Do the same without looking at what was there."""
    lock_roll_ups()
    since, until = day_of(since), next_day(until)
    times = {"since": since, "until": until}
    with connection.cursor() as cursor:
        for table in sums.OF_DAYS:
            cursor.execute(f"DELETE FROM {table.name} t WHERE {ROWS}", times)  # noqa: S608
        cursor.execute(sums.add(sums.of_receipts(RECEIPTS), sums.OF_DAYS), times)
        gone = f"{ROWS} AND t.starts_at < {sums.KEPT_FROM}"
        cursor.execute(f"DELETE FROM {sums.USAGE} t WHERE {gone}", times)  # noqa: S608
    make_spans(since, until)
