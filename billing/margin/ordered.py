"""Margins in the order that staff choose, as the page and its file have them.

Customers and keys are many: PostgreSQL sorts theirs, by spans of days.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

from django.db import connection, transaction
from django.db.models import (
    Case,
    Count,
    DecimalField,
    ExpressionWrapper,
    F,
    Q,
    QuerySet,
    Sum,
    Value,
    When,
    Window,
)

from billing.margin.rates import MILLION, Rates, read_rates
from billing.margin.reads import (
    GROUPS,
    NANOS,
    SUMS,
    Margin,
    read_margins,
    rows_of,
    stretch_of,
)

LOWEST = Decimal("-Infinity")
# What groups can be sorted by: the column in PostgreSQL, and the same of a margin.
ORDERS: dict[str, tuple[str, Callable[[Margin], Any]]] = {
    "name": ("key", lambda row: row.group),
    "requests": ("requests_sum", lambda row: row.requests),
    "credits": ("charged_credits_sum", lambda row: row.charged_credits),
    "written-off": ("write_off_credits_sum", lambda row: row.write_off_credits),
    "income": ("income", lambda row: row.income),
    "cost": ("cost_nanos_sum", lambda row: row.cost),
    "margin": ("margin", lambda row: row.margin),
    "share": (
        "share",
        lambda row: LOWEST if row.share_percent is None else row.share_percent,
    ),
}
# Of a file, so many at once.
CHUNK = 2_000

# What was sold in a currency, in the stretch of days that begins on a day, by the name of its sum.
Sold = dict[str, tuple[str, date]]


def choose_order(by: str, order: str) -> str:
    """Return an order such as -income; the usual one of a grouping if it is unknown."""
    if order.removeprefix("-") in ORDERS:
        return order
    return "-name" if by == "day" else "-income"


def arrange(rows: Iterable[Margin], order: str) -> list[Margin]:
    """Return margins in an order."""
    _, value = ORDERS[order.removeprefix("-")]
    return sorted(rows, key=value, reverse=order.startswith("-"))


@transaction.atomic
def read_first(
    by: str, *, since: date, until: date, order: str, most: int, currencies: Iterable[str]
) -> tuple[list[Margin], int]:
    """Return the first customers or keys in an order, and how many there are.

    `currencies` are those in which something was sold in these days.
    """
    sorting = _Sorting.make(by, since, until, currencies)
    counted = sorting.rows(order).annotate(groups=Window(Count("*")))
    rows = list(counted[:most])
    return [sorting.margin_of(row) for row in rows], rows[0]["groups"] if rows else 0


def stream_all(
    by: str, *, since: date, until: date, order: str, currencies: Iterable[str]
) -> Iterator[Margin]:
    """Yield all margins in an order, within a transaction, all of one moment."""
    _, is_of_site = GROUPS[by]
    if is_of_site:
        yield from arrange(read_margins(by, since=since, until=until), order)
        return
    sorting = _Sorting.make(by, since, until, currencies)
    for row in sorting.rows(order).iterator(chunk_size=CHUNK):
        yield sorting.margin_of(row)


@dataclass(frozen=True, slots=True)
class _Sorting:
    """How PostgreSQL adds up and sorts the groups of some days."""

    by: str
    starts: list[date]
    until: date
    sold: Sold
    rates: Rates

    @classmethod
    def make(cls, by: str, since: date, until: date, currencies: Iterable[str]) -> "_Sorting":
        # To sum up a hundred thousand keys without the disk, which takes twice as long.
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL work_mem = '64MB'")
        rates = read_rates()
        starts = [since, *rates.changes(since, until)]
        sold = {
            f"sold_{number}": (currency, day)
            for number, (currency, day) in enumerate(product(sorted(currencies), starts))
        }
        return cls(by, starts, until, sold, rates)

    def rows(self, order: str) -> QuerySet[Any]:
        """Return the sums of each group, in an order."""
        summed = (
            rows_of(self.by, self.starts, self.until)
            .annotate(stretch=stretch_of(self.starts))
            .values(key=F(GROUPS[self.by][0]))
            .annotate(
                **{f"{name}_sum": Sum(name) for name in SUMS},
                **{
                    name: Sum(
                        "income_micros",
                        filter=Q(currency=currency, **self._in_stretch(day)),
                        default=0,
                    )
                    for name, (currency, day) in self.sold.items()
                },
            )
            .filter(requests_sum__gt=0)
            .annotate(income=self._income())
            .annotate(margin=_number(F("income") - F("cost_nanos_sum") / NANOS))
            .annotate(share=self._share())
        )
        column, falls = F(ORDERS[order.removeprefix("-")][0]), order.startswith("-")
        direction = column.desc(nulls_last=True) if falls else column.asc(nulls_first=True)
        ordered: QuerySet[Any] = summed.order_by(direction, "-key" if falls else "key")
        return ordered

    def margin_of(self, row: dict[str, Any]) -> Margin:
        margin = Margin(row["key"])
        sums = {name: row[f"{name}_sum"] for name in SUMS} | {"income_micros": 0, "currency": ""}
        margin.add(sums, self.rates, date.min)
        nothing = dict.fromkeys(SUMS, 0)
        for name, (currency, day) in self.sold.items():
            margin.add(
                nothing | {"income_micros": row[name], "currency": currency}, self.rates, day
            )
        return margin

    def _in_stretch(self, day: date) -> dict[str, int]:
        """Return the condition that a row is in the stretch that begins on a day; of one, none."""
        return {"stretch": self.starts.index(day) + 1} if len(self.starts) > 1 else {}

    def _income(self) -> Any:
        parts = (
            F(name) * (rate / MILLION)
            for name, (currency, day) in self.sold.items()
            if (rate := self.rates.find(currency, day)) is not None
        )
        return _number(sum(parts, Value(Decimal(0))))

    def _share(self) -> Case:
        """Return what is left of the income, NULL as `Margin.share_percent` is None."""
        unrated = [name for name, found in self.sold.items() if self.rates.find(*found) is None]
        is_whole = Q(income__gt=0, unknown_income_requests_sum=0, unpriced_requests_sum=0)
        is_whole &= Q(**dict.fromkeys(unrated, 0))
        return Case(When(is_whole, then=_number(F("margin") / F("income"))), default=None)


def _number(expression: Any) -> ExpressionWrapper[Any]:
    return ExpressionWrapper(expression, DecimalField(max_digits=60, decimal_places=20))
