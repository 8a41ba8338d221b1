"""Income, cost and margin of the requests of some days, by what staff ask for. From roll-ups alone.

Income is converted by the rate of its day. So rows are added up for each stretch of days in which
no rate changes, which is one, most of the time. Customers and keys are many: of theirs, spans of
days are read, and the database picks those that are shown.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection, transaction
from django.db.models import (
    Case,
    Count,
    DateTimeField,
    DecimalField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
    Window,
)
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing.margin.rates import MILLION, Rates, read_rates
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


# What was sold in a currency, in the stretch of days that begins on a day, by the name of its sum.
Sold = dict[str, tuple[str, date]]


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
    rows = _rows_of(by, starts, until).filter(**which)
    if by == "day":
        rows = rows.annotate(day=TruncDate("starts_at", tzinfo=UTC))
    summed = (
        rows.annotate(stretch=_stretch_of(starts))
        .values("stretch", "currency", key=F(GROUPS[by][0]))
        .annotate(**{f"{name}_sum": Sum(name) for name in SUMS})
        .order_by()
    )
    for row in summed:
        sums = {name: row[f"{name}_sum"] for name in SUMS} | {"currency": row["currency"]}
        margin = found.setdefault(row["key"], Margin(row["key"]))
        margin.add(sums, rates, starts[row["stretch"] - 1])
    return [margin for margin in found.values() if margin.requests]


# What groups can be sorted by, but for their names.
ORDERS = {
    "requests": "requests_sum",
    "credits": "charged_credits_sum",
    "written-off": "write_off_credits_sum",
    "income": "income",
    "cost": "cost_nanos_sum",
    "margin": "margin",
    "share": "share",
    "name": "key",
}


@transaction.atomic
def read_first(
    by: str, *, since: date, until: date, order: str, most: int, currencies: Iterable[str]
) -> tuple[list[Margin], int]:
    """Return the first groups in an order such as -income, and how many groups there are.

    `currencies` are those in which something was sold in these days.
    """
    rates = read_rates()
    # To sum up a hundred thousand keys without the disk, which takes twice as long.
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL work_mem = '64MB'")
    starts = [since, *rates.changes(since, until)]
    sold = {
        f"sold_{number}": (currency, day)
        for number, (currency, day) in enumerate(product(sorted(currencies), starts))
    }
    summed = (
        _rows_of(by, starts, until)
        .annotate(stretch=_stretch_of(starts))
        .values(key=F(GROUPS[by][0]))
        .annotate(
            **{f"{name}_sum": Sum(name) for name in SUMS},
            **{
                name: Sum(
                    "income_micros",
                    filter=Q(currency=currency, **_in_stretch(starts, day)),
                    default=0,
                )
                for name, (currency, day) in sold.items()
            },
            groups=Window(Count("*")),
        )
        .filter(requests_sum__gt=0)
        .annotate(income=_income_of(sold, rates))
        .annotate(margin=_number(F("income") - F("cost_nanos_sum") / NANOS))
        .annotate(share=_share(sold, rates))
    )
    column = F(ORDERS[order.removeprefix("-")])
    falls = order.startswith("-")
    direction = column.desc(nulls_last=True) if falls else column.asc(nulls_first=True)
    rows = list(summed.order_by(direction, "-key" if falls else "key")[:most])
    return [_margin_of(row, sold, rates) for row in rows], rows[0]["groups"] if rows else 0


def _rows_of(by: str, starts: list[date], until: date) -> QuerySet[Any]:
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


def _in_stretch(starts: list[date], day: date) -> dict[str, int]:
    """Return the condition that a row is in the stretch that begins on a day; of one, none."""
    return {"stretch": starts.index(day) + 1} if len(starts) > 1 else {}


def _income_of(sold: Sold, rates: Rates) -> Any:
    parts = (
        F(name) * (rate / MILLION)
        for name, (currency, day) in sold.items()
        if (rate := rates.find(currency, day)) is not None
    )
    return _number(sum(parts, Value(Decimal(0))))


def _share(sold: Sold, rates: Rates) -> Case:
    """Return what is left of the income, NULL as `Margin.share_percent` is None."""
    unrated = [name for name, found in sold.items() if rates.find(*found) is None]
    is_whole = Q(income__gt=0, unknown_income_requests_sum=0, unpriced_requests_sum=0)
    is_whole &= Q(**dict.fromkeys(unrated, 0))
    return Case(When(is_whole, then=_number(F("margin") / F("income"))), default=None)


def _number(expression: Any) -> ExpressionWrapper[Any]:
    return ExpressionWrapper(expression, DecimalField(max_digits=60, decimal_places=20))


def _margin_of(row: dict[str, Any], sold: Sold, rates: Rates) -> Margin:
    margin = Margin(row["key"])
    sums = {name: row[f"{name}_sum"] for name in SUMS} | {"income_micros": 0, "currency": ""}
    margin.add(sums, rates, date.min)
    nothing = dict.fromkeys(SUMS, 0)
    for name, (currency, day) in sold.items():
        margin.add(nothing | {"income_micros": row[name], "currency": currency}, rates, day)
    return margin


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


def _stretch_of(starts: list[date]) -> Func:
    """Return the number, from 1, of the stretch of days that a row is in."""
    bounds = Value([midnight(day) for day in starts], output_field=ArrayField(DateTimeField()))
    return Func(F("starts_at"), bounds, function="width_bucket", output_field=IntegerField())
