"""Compare roll-ups with receipts, and make them anew from receipts."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction

from billing.rollups import sums
from billing.rollups.quarters import next_quarter, quarter_of
from billing.rollups.sweep import lock_roll_ups

WITHIN = "{row}.{at} >= %(since)s AND {row}.{at} < %(until)s"
RECEIPTS = f"{sums.MARKED} WHERE {WITHIN.format(row='u', at='ended_at')}"
# A quarter of an hour that is added up again by the next sweep may differ until then.
NOT_DUE = (
    "NOT EXISTS (SELECT FROM billing_rollupdue d WHERE d.wallet_id = COALESCE(a.wallet_id,"
    " b.wallet_id) AND d.starts_at = COALESCE(a.starts_at, b.starts_at))"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A row of a roll-up that is not the sum of what it is about."""

    table: str
    row: str

    def __str__(self) -> str:
        return f"{self.table}: {self.row}"


def find_differences(since: datetime, until: datetime) -> list[Difference]:
    """Return the rows between two instants, widened to quarters of an hour, that are wrong.

    Exact under traffic: what is read is one statement's snapshot, and a receipt counts once its
    wallet's mark has reached it.
    """
    times = {"since": quarter_of(since), "until": next_quarter(until)}
    rows = WITHIN.format(row="t", at="starts_at")
    usage = f"SELECT t.* FROM {sums.USAGE} t WHERE {rows}"  # noqa: S608  # names of tables
    site = f"SELECT t.* FROM {sums.SITE} t WHERE {rows}"  # noqa: S608
    receipts = sums.of_receipts(RECEIPTS)
    of_wallets = sums.of_wallets(f"({usage}) rolled_up")
    return [
        *_compare(sums.USAGE, sums.USAGE_KEYS, receipts, usage, times),
        *_compare(sums.SITE, sums.SITE_KEYS, of_wallets, site, times),
    ]


def _compare(
    table: str, keys: tuple[str, ...], right: str, written: str, times: dict[str, datetime]
) -> list[Difference]:
    same = " AND ".join(f"a.{key} = b.{key}" for key in keys)
    names = ", ".join(f"COALESCE(a.{key}, b.{key})::text" for key in keys)
    columns = [", ".join(f"{row}.{name}" for name in sums.COLUMNS) for row in "ab"]
    is_settled = NOT_DUE if table == sums.USAGE else "true"
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT concat_ws(', ', {names}) FROM ({right}) a FULL JOIN ({written}) b ON {same}"  # noqa: S608
            f" WHERE ({columns[0]}) IS DISTINCT FROM ({columns[1]}) AND {is_settled} ORDER BY 1",
            times,
        )
        return [Difference(table, row) for (row,) in cursor.fetchall()]


@transaction.atomic
def rebuild(since: datetime, until: datetime) -> list[Difference]:
    """Make the rows between two instants anew from receipts, and return which were wrong.

    Widened to quarters of an hour. Safe to repeat, and under traffic: sweeps wait for it.
    """
    lock_roll_ups()
    wrong = find_differences(since, until)
    add_up(since, until)
    return wrong


@transaction.atomic
def add_up(since: datetime, until: datetime) -> None:
    """Do the same without looking at what was there."""
    lock_roll_ups()
    times = {"since": quarter_of(since), "until": next_quarter(until)}
    with connection.cursor() as cursor:
        for table in (sums.USAGE, sums.SITE):
            rows = WITHIN.format(row="t", at="starts_at")
            cursor.execute(f"DELETE FROM {table} t WHERE {rows}", times)  # noqa: S608
        cursor.execute(sums.add(sums.of_receipts(RECEIPTS)), times)
