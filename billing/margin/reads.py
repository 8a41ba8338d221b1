"""Income, cost and margin of the requests of some days, by what staff ask for. From roll-ups alone.

Income is converted by the rate of its day. So rows are added up for each stretch of days in which
no rate changes, which is one, most of the time. Customers and keys are many: of theirs, spans of
days are read.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import DateTimeField, F, Func, IntegerField, Q, QuerySet, Sum, Value
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing.margin.rates import Rates, read_rates
from billing.models import KeySpan, SiteRollUp, UsageRollUp
from billing.rollups.days import are_days_whole, cut
from billing.rollups.periods import midnight

NANOS = Decimal(1_000_000_000)
SUMS = (
    "requests",
    "charged_credits",
    "write_off_credits",
    "income_micros",
    "cost_nanos",
    "unpriced_requests",
    "unknown_income_requests",
)
# The column of each grouping, and whether the roll-ups of the whole site have it.
GROUPS: dict[str, tuple[str, bool]] = {
    "day": ("day", True),
    "model": ("model_name", True),
    "provider": ("provider_name", True),
    "customer": ("wallet_id", False),
    "key": ("api_key_id", False),
}


@dataclass(slots=True)
class Margin:
    """What some requests brought in and cost, in whole units of the currency of our costs."""

    group: Any = None
    requests: int = 0
    charged_credits: int = 0
    write_off_credits: int = 0
    # What the credits were sold for, in millionths by currency.
    sold_micros: dict[str, int] = field(default_factory=dict)
    income: Decimal = Decimal(0)
    cost_nanos: int = 0
    # Requests that are missing in the income or in the cost.
    unknown_income_requests: int = 0
    unpriced_requests: int = 0
    # Currencies without a rate, whose income is missing.
    unrated: set[str] = field(default_factory=set)

    @property
    def cost(self) -> Decimal:
        return self.cost_nanos / NANOS

    @property
    def margin(self) -> Decimal:
        return self.income - self.cost

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is missing."""
        return not (self.unknown_income_requests or self.unpriced_requests or self.unrated)

    @property
    def share_percent(self) -> Decimal | None:
        """What is left of the income. None without one, or if something is missing."""
        return 100 * self.margin / self.income if self.income and self.is_whole else None

    def add(self, row: dict[str, Any], rates: Rates, day: date) -> None:
        """Add a row of sums of one currency, of a stretch that began on this day."""
        for name in ("requests", "charged_credits", "write_off_credits", "cost_nanos"):
            setattr(self, name, getattr(self, name) + row[name])
        self.unpriced_requests += row["unpriced_requests"]
        self.unknown_income_requests += row["unknown_income_requests"]
        if micros := row["income_micros"]:
            currency = row["currency"]
            self.sold_micros[currency] = self.sold_micros.get(currency, 0) + micros
            income = rates.convert(micros, currency, day)
            if income is None:
                self.unrated.add(currency)
            else:
                self.income += income


def read_margins(by: str, *, since: date, until: date, **which: object) -> list[Margin]:
    """Read the margins of the days `since` to `until` (UTC, both included), grouped `by`."""
    rates = read_rates()
    starts = [since, *rates.changes(since, until)]
    found: dict[Any, Margin] = {}
    rows = rows_of(by, starts, until).filter(**which)
    if by == "day":
        rows = rows.annotate(day=TruncDate("starts_at", tzinfo=UTC))
    summed = (
        rows.annotate(stretch=stretch_of(starts))
        .values("stretch", "currency", key=F(GROUPS[by][0]))
        .annotate(**{f"{name}_sum": Sum(name) for name in SUMS})
        .order_by()
    )
    for row in summed:
        sums = {name: row[f"{name}_sum"] for name in SUMS} | {"currency": row["currency"]}
        margin = found.setdefault(row["key"], Margin(row["key"]))
        margin.add(sums, rates, starts[row["stretch"] - 1])
    return [margin for margin in found.values() if margin.requests]


def rows_of(by: str, starts: list[date], until: date) -> QuerySet[Any]:
    """Return the rows of the stretches of days that begin so, up to `until`."""
    within = Q(starts_at__gte=midnight(starts[0]), starts_at__lt=midnight(until + timedelta(1)))
    if GROUPS[by][1]:
        return SiteRollUp.objects.filter(within)
    if not are_days_whole(starts[0]):
        return UsageRollUp.objects.filter(within)
    is_open = until >= timezone.now().date()
    chosen = Q()
    for first, next_first in zip(starts, [*starts[1:], None], strict=True):
        last = until if next_first is None else next_first - timedelta(1)
        spans = cut(first, last, is_open=is_open and next_first is None)
        for days, begins in spans.items():
            if begins:
                chosen |= Q(days=days, starts_at__in=begins)
    return KeySpan.objects.filter(chosen)


def total_of(margins: list[Margin]) -> Margin:
    """Return the sum of margins."""
    total = Margin()
    for each in margins:
        total.requests += each.requests
        total.charged_credits += each.charged_credits
        total.write_off_credits += each.write_off_credits
        total.income += each.income
        total.cost_nanos += each.cost_nanos
        total.unknown_income_requests += each.unknown_income_requests
        total.unpriced_requests += each.unpriced_requests
        total.unrated |= each.unrated
        for currency, micros in each.sold_micros.items():
            total.sold_micros[currency] = total.sold_micros.get(currency, 0) + micros
    return total


def stretch_of(starts: list[date]) -> Func:
    """Return the number, from 1, of the stretch of days that a row is in."""
    bounds = Value([midnight(day) for day in starts], output_field=ArrayField(DateTimeField()))
    return Func(F("starts_at"), bounds, function="width_bucket", output_field=IntegerField())
