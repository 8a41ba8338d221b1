"""A receipt: one usage record's charge, taken apart so that a reader can add it up again."""

from dataclasses import dataclass

from billing.catalogue.model_prices import rates_of
from billing.catalogue.pricing import PricedClass, Usage, cost_credits, price_classes
from billing.models import UsageRecord
from billing.token_classes import PARTS, counts_of

# These are shown even with 0 tokens.
ALWAYS = {each.name for each in PARTS}


@dataclass(frozen=True, slots=True)
class Receipt:
    """A record with the sum that led to its charge."""

    record: UsageRecord
    lines: list[PricedClass]
    sum_millicredits: int
    cost_credits: int

    @property
    def is_rounded(self) -> bool:
        """Tell whether the sum was rounded up to whole credits."""
        return self.sum_millicredits != self.cost_credits * 1_000

    @property
    def waived_credits(self) -> int:
        """Return what was not asked for at all: the cost beyond a parked request's hold."""
        return self.cost_credits - self.record.target_credits

    @property
    def released_credits(self) -> int:
        """Return what went back to the balance from the hold."""
        return max(0, self.record.held_credits - self.record.charged_credits)


def explain(record: UsageRecord) -> Receipt:
    """Return the receipt of a record whose price is loaded."""
    rates = rates_of(record.price)
    usage = Usage(**counts_of(record))
    lines = price_classes(rates, usage)
    return Receipt(
        record=record,
        lines=[line for line in lines if line.tokens or line.name in ALWAYS],
        sum_millicredits=sum(line.amount_millicredits for line in lines),
        cost_credits=cost_credits(rates, usage),
    )
