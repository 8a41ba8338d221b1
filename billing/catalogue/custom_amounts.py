"""How many credits an amount of the customer's choice buys.

An amount is sold as a whole at the best rate of the steps that it reaches, so more money never buys
fewer credits, whatever staff enter. Credits are rounded down, once.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext

from billing.catalogue.promotions import promotion_of_amount
from billing.exceptions import AmountRefused, OfferChanged
from billing.models import AmountOffer, Promotion
from common.credits import MAX_CREDITS
from common.currencies import UNPROVEN, decimal_places, smallest_step
from common.money import price

MARK = re.compile(r"([a-z]{3}):([1-9][0-9]{0,8}):[0-9]{1,16}:(?:[0-9]{1,10}|never)")


@dataclass(frozen=True, slots=True)
class Quote:
    """What a customer is told that an amount buys."""

    currency: str
    amount_cents: int
    credits: int
    validity_days: int | None
    # How many of the credits a promotion adds.
    bonus_credits: int = 0
    promotion: Promotion | None = None

    @property
    def mark(self) -> str:
        """Return all its terms as one text, by which a form says what was shown."""
        validity = "never" if self.validity_days is None else self.validity_days
        return f"{self.currency}:{self.amount_cents}:{self.credits}:{validity}"


def amount_offers() -> list[AmountOffer]:
    """Return the offers on sale with their steps."""
    offers = AmountOffer.objects.filter(is_active=True).exclude(currency__in=UNPROVEN)
    return list(offers.prefetch_related("steps"))


def quote_amount(currency: str, amount_cents: int) -> Quote:
    """Return what an amount buys now. Raises AmountRefused, with words for the customer."""
    offer = next((each for each in amount_offers() if each.currency == currency), None)
    if offer is None:
        raise AmountRefused(gettext("Amounts of your choice are not sold in this currency."))
    return quote_of(offer, amount_cents)


def quote_of(offer: AmountOffer, amount_cents: int) -> Quote:
    """Return what an amount buys at an offer. Raises AmountRefused."""
    currency = offer.currency
    if not offer.least_cents <= amount_cents <= offer.most_cents:
        least, most = (price(each, currency) for each in (offer.least_cents, offer.most_cents))
        raise AmountRefused(
            gettext("Choose an amount from {least} to {most}.").format(least=least, most=most)
        )
    if amount_cents % smallest_step(currency):
        step = price(smallest_step(currency), currency)
        raise AmountRefused(
            gettext("Choose an amount that is a multiple of {step}.").format(step=step)
        )
    base = credits_for(currency, amount_cents, rates_of(offer))
    promotion = promotion_of_amount(base)
    bonus = promotion.bonus_of(base) if promotion else 0
    if not 0 < base + bonus <= MAX_CREDITS:
        raise AmountRefused(gettext("This amount can't be sold. Please choose another."))
    return Quote(currency, amount_cents, base + bonus, offer.validity_days, bonus, promotion)


def credits_for(currency: str, amount_cents: int, rates: Iterable[tuple[int, int]]) -> int:
    """Return the credits of an amount, rounded down: at the best rate of those that it reaches.

    A rate is the amount from which on it holds, and the credits for one unit of the currency.
    """
    best = max((rate for from_cents, rate in rates if from_cents <= amount_cents), default=0)
    scale: int = 10 ** decimal_places(currency)
    return amount_cents * best // scale


def rates_of(offer: AmountOffer) -> list[tuple[int, int]]:
    """Return an offer's rates, each with the amount from which on it holds."""
    steps = [(each.from_cents, each.credits_per_unit) for each in offer.steps.all()]
    return [(offer.least_cents, offer.credits_per_unit), *steps]


def quote_again(mark: str) -> Quote:
    """Return the quote that a form was shown with. Raises OfferChanged if it holds no more."""
    found = MARK.fullmatch(mark)
    if found is None:
        raise OfferChanged("What was ordered is not known.")
    quote = quote_amount(found[1], int(found[2]))
    if quote.mark != mark:
        raise OfferChanged("An amount buys something else than it did.")
    return quote
