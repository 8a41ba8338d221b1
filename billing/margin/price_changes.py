"""What other rates would have made of the last days' requests: before a price is set.

Reckoned from roll-ups: tokens by class at the rates, and credits at what those of the same requests
were sold for. Charges are rounded up by request, here they are not; and who would have asked less,
or more, at another price is not known.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Sum
from django.utils import timezone

from billing.catalogue.pricing import Rates, Usage, cost_credits
from billing.margin.reads import Margin, read_margins, total_of
from billing.models import SiteRollUp
from billing.rollups.periods import midnight
from billing.token_classes import COUNTS

DAYS = 30


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What the requests bring in at some rates."""

    charged_credits: int
    # None if nothing tells what a credit is worth.
    income: Decimal | None
    cost: Decimal

    @property
    def margin(self) -> Decimal | None:
        return None if self.income is None else self.income - self.cost

    @property
    def share_percent(self) -> Decimal | None:
        return 100 * self.margin / self.income if self.income and self.margin is not None else None


@dataclass(frozen=True, slots=True)
class PriceChange:
    """One model's last days as they were charged, and at other rates."""

    actual: Margin
    usage: Usage

    def at(self, rates: Rates) -> Reckoned:
        """Reckon the requests anew. What was written off is charged, since nobody knows better."""
        charged = cost_credits(rates, self.usage)
        sold = self.actual.charged_credits
        income = self.actual.income * charged / sold if sold else None
        return Reckoned(charged, income, self.actual.cost)

    @property
    def is_whole(self) -> bool:
        """Tell whether the income and cost of every request are known."""
        return self.actual.is_whole


def read_changes(names: list[str], **which: object) -> Mapping[str, PriceChange]:
    """Return the last days of each of these models that was asked; of `which` requests, or all."""
    today = timezone.now().date()
    since = today - timedelta(days=DAYS - 1)
    which = {"model_name__in": names, **which}
    margins = read_margins("model", since=since, until=today, **which)
    rows: Iterable[Any] = (
        SiteRollUp.objects.filter(starts_at__gte=midnight(since), **which)
        .values("model_name")
        .annotate(**{f"{name}_sum": Sum(name) for name in COUNTS})
        .order_by()
    )
    used = {
        row["model_name"]: Usage(**{name: row[f"{name}_sum"] for name in COUNTS}) for row in rows
    }
    return {
        margin.group: PriceChange(total_of([margin]), used[margin.group])
        for margin in margins
        if margin.group in used
    }
