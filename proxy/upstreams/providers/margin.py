"""What requests brought in and what they cost us, by day, provider and model: for staff.

Credits are sold at different prices, so what a charged credit brought in is an average: the money
of all fulfilled orders in the currency of our costs, by the credits that they sold.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing.models import Order, SiteRollUp

# The currency of routes' prices.
CURRENCY = "usd"
NANOS = Decimal(1_000_000_000)
CENTS = Decimal(100)


@dataclass(frozen=True, slots=True)
class Margin:
    """One day's requests of a model at a provider. Money is in the currency's whole units."""

    day: date
    provider: str
    model: str
    requests: int
    charged_credits: int
    income: Decimal
    cost: Decimal
    # Requests whose cost is not known and not in the margin.
    unpriced: int

    @property
    def margin(self) -> Decimal:
        return self.income - self.cost

    @property
    def share_percent(self) -> Decimal | None:
        """What is left of the income. None without one, or if a cost is missing."""
        return 100 * self.margin / self.income if self.income and not self.unpriced else None


def read_margins(*, days: int) -> list[Margin]:
    """Read the last days, newest first and dearest first within one."""
    price = average_credit_price()
    since = timezone.now() - timedelta(days=days)
    rows = (
        SiteRollUp.objects.filter(starts_at__gte=since)
        .annotate(day=TruncDate("starts_at"))
        .values("day", "provider_name", "model_name")
        .annotate(
            count=Sum("requests"),
            credits=Sum("charged_credits"),
            cost=Sum("cost_nanos"),
            unpriced=Sum("unpriced_requests"),
        )
        .order_by("-day", "-credits", "provider_name", "model_name")
    )
    return [
        Margin(
            day=row["day"],
            provider=row["provider_name"],
            model=row["model_name"],
            requests=row["count"],
            charged_credits=row["credits"],
            income=row["credits"] * price,
            cost=Decimal(row["cost"]) / NANOS,
            unpriced=row["unpriced"],
        )
        for row in rows
    ]


def average_credit_price() -> Decimal:
    """Return what a sold credit brought in on average, 0 before the first sale."""
    sold = Order.objects.filter(status=Order.Status.FULFILLED, currency=CURRENCY).aggregate(
        cents=Sum("amount_cents", default=0), credits=Sum("credits", default=0)
    )
    return Decimal(sold["cents"]) / CENTS / sold["credits"] if sold["credits"] else Decimal(0)
