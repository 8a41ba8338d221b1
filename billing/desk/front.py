"""How the business does, on the desk's first page, as far as this member of staff may see it."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from accounts.desk.charts import Chart, count_of, make_chart
from billing.margin.business import Business, Figures, read_business
from billing.margin.rates import COST_CURRENCY
from billing.margin.reads import Margin
from common import money

NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of each period, with that of the period before."""

    title: str
    cells: list[tuple[str, str]]


def _money(by_currency: dict[str, int]) -> str:
    amounts = [money.amount(micros, currency) for currency, micros in sorted(by_currency.items())]
    return ", ".join(amounts) or NOTHING


def _cost(amount: Decimal) -> str:
    return money.amount(round(amount * money.MILLION), COST_CURRENCY)


def say_margin(margin: Margin) -> str:
    if not margin.requests:
        return NOTHING
    share = "" if margin.share_percent is None else f" ({margin.share_percent:.1f} %)"
    return f"{_cost(margin.margin)}{share}{'' if margin.is_whole else ', not whole'}"


def _failed(figures: Figures) -> str:
    share = figures.failed_percent
    return NOTHING if share is None else f"{share:.2f} %"


Show = Callable[[Figures], str]

# What only those see who may see margins.
SALES: tuple[tuple[str, Show], ...] = (
    ("Revenue, without refunds, tax and discounts", lambda figures: _money(figures.revenue)),
    ("Credits sold", lambda figures: money.credits(figures.credits_sold)),
    ("Income of requests", lambda figures: _cost(figures.margin.income)),
    ("Upstream cost", lambda figures: _cost(figures.margin.cost)),
    ("Margin of requests", lambda figures: say_margin(figures.margin)),
    ("Cost of our own probes", lambda figures: _cost(figures.own.cost)),
    ("Unspent credits at the end", lambda figures: money.credits(figures.liability.credits)),
    ("Paid for what was unspent", lambda figures: _money(figures.liability.micros)),
    ("New customers", lambda figures: f"{figures.new_customers:,}"),
)
USE: tuple[tuple[str, Show], ...] = (
    ("Active customers", lambda figures: f"{figures.active_customers:,}"),
    ("Requests", lambda figures: f"{figures.margin.requests:,}"),
    ("Credits used", lambda figures: money.credits(figures.margin.charged_credits)),
    ("Requests that broke, or that no upstream took", _failed),
    ("Requests refused by their callers' fault", lambda figures: f"{figures.refused:,}"),
)


def describe_business(request: HttpRequest) -> dict[str, Any]:
    """Return what the first page shows of the business."""
    sees_margin = request.user.has_perm("billing.view_margin")
    if not sees_margin and not request.user.has_perm("billing.view_usagerecord"):
        return {}
    business = read_business()
    rows = [*(SALES if sees_margin else ()), *USE]
    return {
        "business": business,
        "sees_margin": sees_margin,
        "rows": [
            Row(title, [(show(each.now), show(each.before)) for each in business.periods])
            for title, show in rows
        ],
        "charts": [
            *(_charts_of_sales(business) if sees_margin else ()),
            _chart_of_use(business),
            _chart_of_failures(business),
        ],
    }


def _charts_of_sales(business: Business) -> list[Chart]:
    unit = f"{COST_CURRENCY.upper()}, by day"
    return [
        make_chart(
            "Revenue",
            unit,
            [(f"{each.day:%-d %b}", each.revenue, _cost(each.revenue)) for each in business.days],
        ),
        make_chart(
            "Margin of requests",
            unit,
            [
                (f"{each.day:%-d %b}", each.margin.margin, _cost(each.margin.margin))
                for each in business.days
            ],
        ),
    ]


def _chart_of_use(business: Business) -> Chart:
    drawn = [
        (
            f"{each.day:%-d %b}",
            each.margin.charged_credits,
            f"{money.credits(each.margin.charged_credits)} credits",
        )
        for each in business.days
    ]
    return make_chart("Credits used", "by day", drawn)


def _chart_of_failures(business: Business) -> Chart:
    drawn = [
        (f"{each.day:%-d %b}", Decimal(each.failed), count_of(each.failed, "request"))
        for each in business.days
    ]
    return make_chart("Failed requests", "broken, or taken by no upstream, by day", drawn)
