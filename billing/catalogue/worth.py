"""What credits are worth: a model's tokens in money, a pack in tokens, a workload in packs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from billing.catalogue.on_sale import PricedModel
from billing.catalogue.pricing import (
    MILLICREDITS,
    PricedClass,
    Rates,
    Usage,
    cost_credits,
    price_classes,
    round_up,
)
from billing.catalogue.promotions import PackOnSale
from common.money import MILLION

DAYS_A_MONTH = 30


def price_of_million_tokens(sold: PackOnSale, rate_millicredits: int) -> Decimal:
    """Return what a million tokens at this rate cost in credits of this pack, in the smallest unit
    of its currency, unrounded.
    """
    price_cents = Decimal(sold.pack.price_cents)
    return price_cents * MILLION * rate_millicredits / (MILLICREDITS * sold.credits)


def tokens_for(amount_credits: int, rate_millicredits: int) -> int | None:
    """Return how many tokens of this rate these credits pay, rounded down; None if free."""
    return amount_credits * MILLICREDITS // rate_millicredits if rate_millicredits else None


def showcase(models: Sequence[PricedModel]) -> list[PricedModel]:
    """Return the two models by which a pack is told: staff's first one, and the cheapest other.

    Free ones are no measure, and are left out.
    """
    priced = [each for each in models if each.rates.prompt_millicredits]
    cheapest = sorted(priced[1:], key=lambda each: each.rates.prompt_millicredits)
    return priced[:1] + cheapest[:1]


@dataclass(frozen=True, slots=True)
class Workload:
    """So many requests a day of one kind."""

    prompt_tokens: int
    completion_tokens: int
    requests_per_day: int


@dataclass(frozen=True, slots=True)
class PackEstimate:
    """One pack under a workload. `days` is how long it lasts, rounded down; None if it is free."""

    sold: PackOnSale
    days: int | None
    month_cents: Decimal
    thousand_requests_cents: Decimal

    @property
    def is_cut_short(self) -> bool:
        """Return whether its credits expire before the workload has used them."""
        validity = self.sold.pack.validity_days
        return validity is not None and (self.days is None or self.days > validity)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a workload costs on one model, and how each pack bears it."""

    request_credits: int
    day_credits: int
    packs: list[PackEstimate]


def estimate(rates: Rates, workload: Workload, packs: Iterable[PackOnSale]) -> Estimate:
    """Return what a workload costs: each request rounded up by itself, as it will be charged."""
    usage = Usage(workload.prompt_tokens, workload.completion_tokens)
    each = cost_credits(rates, usage)
    day = each * workload.requests_per_day
    return Estimate(each, day, [_bear(sold, each, day) for sold in packs])


def _bear(sold: PackOnSale, request_credits: int, day_credits: int) -> PackEstimate:
    credit_cents = Decimal(sold.pack.price_cents) / sold.credits
    return PackEstimate(
        sold=sold,
        days=sold.credits // day_credits if day_credits else None,
        month_cents=credit_cents * day_credits * DAYS_A_MONTH,
        thousand_requests_cents=credit_cents * request_credits * 1_000,
    )


@dataclass(frozen=True, slots=True)
class ExampleReceipt:
    """A receipt as a request of this model would get, by the present price list."""

    model: PricedModel
    classes: list[PricedClass]
    held_credits: int
    charged_credits: int

    @property
    def released_credits(self) -> int:
        """Return what came back when the request ended."""
        return self.held_credits - self.charged_credits


# A conversation's second turn: most of its prompt is known to the provider already.
EXAMPLE = Usage(prompt_tokens=1_204, cached_tokens=1_024, completion_tokens=318)


def example_receipt(model: PricedModel) -> ExampleReceipt:
    """Return the example of the landing page, reckoned as the product reckons."""
    rates = model.rates
    held = EXAMPLE.prompt_tokens * rates.worst_prompt_millicredits
    held += model.model.default_max_tokens * rates.worst_completion_millicredits
    return ExampleReceipt(
        model=model,
        classes=[each for each in price_classes(rates, EXAMPLE) if each.tokens],
        held_credits=round_up(held),
        charged_credits=cost_credits(rates, EXAMPLE),
    )
