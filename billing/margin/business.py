"""How the business does: what the desk's first page shows, measured by a sweep.

Revenue, use, cost and errors are read from roll-ups and the entries of orders. A worker measures
every few minutes, so that no page adds up anything; without a measurement the first reader does.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing.margin.liability import (
    Liability,
    Unspent,
    at_beginnings,
    read_unspent,
    total_unspent,
)
from billing.margin.own import read_own
from billing.margin.rates import Rates, read_rates
from billing.margin.reads import Margin, read_margins, total_of
from billing.models import KeySpan, Revenue, SiteRollUp, UsageRecord, UsageRollUp, Wallet
from billing.rollups.days import are_days_whole
from billing.rollups.histogram import BUCKETS, percentile_ms
from billing.rollups.periods import midnight
from billing.rollups.refused import read_refused

# Another one whenever what is measured has another shape: a release reads what another one kept.
NAME = "figures:business:4"
# A worker that is away leaves the last measurement for so long; its age is told.
KEPT_S = 3_600
PERIODS = (("Today", 1), ("7 days", 7), ("30 days", 30))
DAYS = 30
MARGIN_DAYS = 7
FAILURES = (UsageRecord.Outcome.BROKEN, UsageRecord.Outcome.ABANDONED)


@dataclass(slots=True)
class Figures:
    """What happened in some days. Revenue is in millionths by currency."""

    revenue: dict[str, int] = field(default_factory=dict)
    credits_sold: int = 0
    margin: Margin = field(default_factory=Margin)
    failed: int = 0
    # Those that left no receipt: by our fault or an upstream's, and by the caller's.
    unserved: int = 0
    refused: int = 0
    new_customers: int = 0
    active_customers: int = 0
    # What requests of our own cost, and what was unspent at the end of these days.
    own: Margin = field(default_factory=Margin)
    liability: Liability = field(default_factory=Liability)

    @property
    def failed_percent(self) -> Decimal | None:
        """Return the share of requests that got no whole answer. The caller's faults are none."""
        asked = self.margin.requests + self.unserved
        return 100 * Decimal(self.failed + self.unserved) / asked if asked else None


@dataclass(slots=True)
class Period:
    """Some days up to today, and as many before them."""

    title: str
    now: Figures
    before: Figures


@dataclass(slots=True)
class Day:
    """One day of the charts. Revenue is in the currency of our costs, as far as it has a rate."""

    day: date
    revenue: Decimal
    margin: Margin
    failed: int


@dataclass(slots=True)
class Served:
    """How a provider did in the last 24 hours."""

    provider: str
    requests: int
    failed: int
    median_ms: int | None
    slow_ms: int | None
    # Of MARGIN_DAYS, today included.
    margin: Margin

    @property
    def failed_percent(self) -> Decimal:
        return 100 * Decimal(self.failed) / self.requests


@dataclass(slots=True)
class Business:
    """All that the first page shows."""

    measured_at: datetime
    periods: list[Period]
    days: list[Day]
    unspent: list[Unspent]
    providers: list[Served]

    @property
    def unspent_credits(self) -> int:
        return sum(each.credits for each in self.unspent)


def read_business() -> Business:
    """Return the last measurement, or take one where there is none."""
    found: Business | None = cache.get(NAME)
    return found or measure_business()


def measure_business() -> Business:
    """Measure how the business does, and keep it for the readers."""
    now, unspent = timezone.now(), read_unspent()
    business = Business(
        now,
        *_measure_days(now.date(), total_unspent(unspent)),
        unspent=unspent,
        providers=_measure_providers(now),
    )
    cache.set(NAME, business, timeout=KEPT_S)
    return business


def _measure_days(today: date, unspent: Liability) -> tuple[list[Period], list[Day]]:
    first = today - timedelta(days=2 * DAYS - 1)
    margins = {each.group: each for each in read_margins("day", since=first, until=today)}
    own = {each.group: each for each in read_own("day", since=first, until=today)}
    revenue, sold = _read_revenue(first), _read_sold(first)
    failed = _read_failed(first)
    refused = read_refused(list(_days(first, today)))
    ranges = {
        (title, is_before): _range(today, days, is_before=is_before)
        for title, days in PERIODS
        for is_before in (False, True)
    }
    customers = _count_customers(ranges)
    begun = [today - timedelta(days=days - 1) for _, days in PERIODS]
    # By the last day that they are of.
    liabilities = {
        day - timedelta(1): found for day, found in at_beginnings(begun, unspent, margins).items()
    } | {today: unspent}

    def figures(title: str, *, is_before: bool) -> Figures:
        days = list(_days(*ranges[title, is_before]))
        new, active = customers[title, is_before]
        return Figures(
            revenue=_sum_money(revenue.get(day, {}) for day in days),
            credits_sold=sum(sold.get(day, 0) for day in days),
            margin=total_of([margins[day] for day in days if day in margins]),
            failed=sum(failed.get(day, 0) for day in days),
            unserved=sum(refused[day].ours for day in days),
            refused=sum(refused[day].callers for day in days),
            new_customers=new,
            active_customers=active,
            own=total_of([own[day] for day in days if day in own]),
            liability=liabilities[days[-1]],
        )

    periods = [
        Period(title, figures(title, is_before=False), figures(title, is_before=True))
        for title, _ in PERIODS
    ]
    rates = read_rates()
    charted = [
        Day(
            day,
            _converted(revenue.get(day, {}), rates, day),
            margins.get(day) or Margin(day),
            failed.get(day, 0) + refused[day].ours,
        )
        for day in _days(today - timedelta(days=DAYS - 1), today)
    ]
    return periods, charted


def _range(today: date, days: int, *, is_before: bool) -> tuple[date, date]:
    until = today - timedelta(days=days) if is_before else today
    return until - timedelta(days=days - 1), until


def _days(since: date, until: date) -> Iterable[date]:
    return (since + timedelta(days=number) for number in range((until - since).days + 1))


def _sum_money(money: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for each in money:
        for currency, micros in each.items():
            total[currency] += micros
    return dict(total)


def _converted(money: dict[str, int], rates: Rates, day: date) -> Decimal:
    found = (rates.convert(micros, currency, day) for currency, micros in money.items())
    return sum((amount for amount in found if amount is not None), Decimal(0))


def _read_revenue(first: date) -> dict[date, dict[str, int]]:
    """Return what orders brought in without what went back, by day and currency."""
    found: dict[date, dict[str, int]] = defaultdict(dict)
    rows = Revenue.objects.filter(created_at__gte=midnight(first)).order_by()
    by_day = rows.values_list(TruncDate("created_at", tzinfo=UTC), "currency").annotate(
        sum=Sum("micros")
    )
    for day, currency, micros in by_day:
        found[day][currency] = micros
    return found


def _read_sold(first: date) -> dict[date, int]:
    sales = Revenue.objects.filter(created_at__gte=midnight(first), kind=Revenue.Kind.SALE)
    by_day = sales.order_by().values_list(TruncDate("created_at", tzinfo=UTC))
    return dict(by_day.annotate(sum=Sum("order__credits")))


def _read_failed(first: date) -> dict[date, int]:
    rows = SiteRollUp.objects.filter(starts_at__gte=midnight(first), outcome__in=FAILURES)
    return dict(
        rows.order_by()
        .values_list(TruncDate("starts_at", tzinfo=UTC))
        .annotate(sum=Sum("requests"))
    )


def _count_customers(
    ranges: dict[tuple[str, bool], tuple[date, date]],
) -> dict[tuple[str, bool], tuple[int, int]]:
    """Return how many customers were new, and how many made requests, in each range of days."""
    names = {f"range_{number}": place for number, place in enumerate(ranges)}

    def within(column: str, place: tuple[str, bool]) -> Q:
        since, until = ranges[place]
        end = midnight(until + timedelta(days=1))
        return Q(**{f"{column}__gte": midnight(since), f"{column}__lt": end})

    first = midnight(min(since for since, _ in ranges.values()))
    new = Wallet.objects.filter(created_at__gte=first).aggregate(
        **{name: Count("pk", filter=within("created_at", place)) for name, place in names.items()}
    )
    # A customer's day is a row for each key instead of one for each quarter of an hour and model.
    asked = KeySpan.objects.filter(days=1) if are_days_whole(first.date()) else UsageRollUp.objects
    active = asked.filter(starts_at__gte=first).aggregate(
        **{
            name: Count("wallet", distinct=True, filter=within("starts_at", place))
            for name, place in names.items()
        }
    )
    return {place: (new[name], active[name]) for name, place in names.items()}


def _measure_providers(now: datetime) -> list[Served]:
    """Read the last day of each provider, the worst first."""
    buckets = {f"bucket_{at}": Sum(f"durations__{at}") for at in range(BUCKETS)}
    rows = (
        SiteRollUp.objects.filter(starts_at__gte=now - timedelta(days=1))
        .exclude(provider_name="")
        .order_by()
        .values("provider_name")
        .annotate(
            count=Sum("requests"),
            failed=Sum("requests", filter=Q(outcome__in=FAILURES), default=0),
            **buckets,
        )
    )
    since = now.date() - timedelta(days=MARGIN_DAYS - 1)
    margins = {each.group: each for each in read_margins("provider", since=since, until=now.date())}
    served = [_served(dict(row), margins) for row in rows if row["count"]]
    return sorted(served, key=lambda each: (-each.failed_percent, -(each.slow_ms or 0)))


def _served(row: dict[str, Any], margins: dict[str, Margin]) -> Served:
    counts = [row[f"bucket_{at}"] for at in range(BUCKETS)]
    return Served(
        row["provider_name"],
        row["count"],
        row["failed"],
        percentile_ms(counts, 50),
        percentile_ms(counts, 95),
        margins.get(row["provider_name"]) or Margin(),
    )
