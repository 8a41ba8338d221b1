"""What a promotion leaves of the price of a credit, by what credits cost us lately."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.utils import timezone

from billing.margin.price_changes import DAYS
from billing.margin.rates import Rates, read_rates
from billing.margin.reads import read_margins, total_of
from common.money import micros


@dataclass(frozen=True, slots=True)
class CreditCost:
    """What a credit cost us in the last days, by all requests; None if nothing was charged."""

    each: Decimal | None
    # Whether the cost of every request is known.
    is_whole: bool
    rates: Rates

    def share_left(self, price_cents: int, currency: str, credits: int) -> Decimal | None:
        """Return what is left, in percent, of credits that are sold at a price; None if unknown.

        Tax, discount and Stripe's fee are not reckoned.
        """
        sold = self.rates.convert(micros(price_cents, currency), currency, timezone.now().date())
        if self.each is None or not sold:
            return None
        return 100 * (sold - self.each * credits) / sold


def read_credit_cost() -> CreditCost:
    """Read what the last days' requests cost for each credit that they were charged."""
    today = timezone.now().date()
    total = total_of(read_margins("model", since=today - timedelta(days=DAYS - 1), until=today))
    charged = total.charged_credits
    each = total.cost / charged if charged else None
    return CreditCost(each, not total.unpriced_requests, read_rates())
