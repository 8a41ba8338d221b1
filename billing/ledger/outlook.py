"""How long a balance lasts, what this month has cost so far, and which credits go next."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone

from billing.ledger.credits import ORDER_OF_USE
from billing.ledger.entry_words import describe
from billing.ledger.usage import EVERYTHING, UsageFilter
from billing.ledger.usage_charts import Chart, lay_out
from billing.models import Lot, Wallet
from billing.rollups.periods import Period, Step, midnight
from billing.rollups.reads import Used, sum_by_step

RATE_DAYS = 7
# Days beyond this are no forecast.
MOST_DAYS = 365
LISTED_LOTS = 5
SOON = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Pace:
    """What a day costs at the rate of the last days, and how long the balance bears it."""

    day_credits: int
    days_left: int

    @property
    def is_beyond(self) -> bool:
        return self.days_left > MOST_DAYS

    @property
    def is_short(self) -> bool:
        return self.days_left < RATE_DAYS


@dataclass(frozen=True, slots=True)
class Months:
    """The present month so far, the last one up to the same moment, and the whole of it."""

    so_far: Used
    last_so_far: Used
    last: Used

    @property
    def change(self) -> str:
        """Return by how much this month is above the last, such as +12%; empty without one."""
        before = self.last_so_far.charged_credits
        if not before:
            return ""
        percent = round(100 * (self.so_far.charged_credits - before) / before)
        return f"{percent:+,}%".replace("-", "−") if percent else "±0%"


@dataclass(frozen=True, slots=True)
class NextLot:
    """Credits that came together, of which something is left."""

    lot: Lot
    source: str
    is_expiring: bool

    @property
    def left_percent(self) -> int:
        return 100 * self.lot.remaining_credits // self.lot.granted_credits


def pace_of(chart: Chart, available_credits: int) -> Pace | None:
    """Return how long a balance lasts, by a chart of days up to today; None if nothing is used."""
    used = sum(bar.used.charged_credits for bar in chart.bars[-RATE_DAYS:])
    if not used:
        return None
    return Pace(-(-used // RATE_DAYS), available_credits * RATE_DAYS // used)


def read_outlook(
    wallet: Wallet, days: Period, *, now: datetime, chosen: UsageFilter = EVERYTHING
) -> tuple[Chart, Months]:
    """Return the chart of some days up to today, and what months cost by the calendar of its zone.

    Both overlap, so they are read at once.
    """
    months = _months(now, days.zone)
    starts = tuple(sorted({*months.starts, *days.starts}))
    both = Period(Step.DAY, days.zone, starts, max(months.ends_at, days.ends_at))
    found = sum_by_step(wallet, both, where=chosen.where)
    by_month = _in_steps_of(months, found, both)
    last_so_far, rest, so_far = (by_month.get((step,), Used()) for step in (1, 2, 3))
    last = Used()
    last.merge(last_so_far)
    last.merge(rest)
    return lay_out(_in_steps_of(days, found, both), days), Months(so_far, last_so_far, last)


def _months(now: datetime, zone: ZoneInfo) -> Period:
    """Return last month up to the same moment as now, the rest of it, and this month up to now."""
    first = now.astimezone(zone).date().replace(day=1)
    start = midnight(first, zone)
    before = midnight((first - timedelta(days=1)).replace(day=1), zone)
    same_moment = min(before + (now - start), start)
    return Period(Step.DAY, zone, (before, same_moment, start), now + timedelta(seconds=1))


def _in_steps_of(
    period: Period, found: Mapping[tuple[Any, ...], Used], finer: Period
) -> dict[tuple[Any, ...], Used]:
    """Return what was found by the steps of a finer period by those of one within it."""
    summed: dict[tuple[Any, ...], Used] = {}
    for (step,), used in found.items():
        start = finer.starts[step - 1]
        if period.starts_at <= start < period.ends_at:
            summed.setdefault((period.index_of(start) + 1,), Used()).merge(used)
    return summed


def next_lots(wallet: Wallet) -> list[NextLot]:
    """Return the lots that are used next, in that order."""
    lots = wallet.lots.filter(remaining_credits__gt=0).select_related("entry")
    soon = timezone.now() + SOON
    return [
        NextLot(lot, describe(lot.entry), bool(lot.expires_at and lot.expires_at <= soon))
        for lot in lots.order_by(*ORDER_OF_USE)[:LISTED_LOTS]
    ]
