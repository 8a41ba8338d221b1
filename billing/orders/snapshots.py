"""The terms of an order as they are agreed, which later edits of what is on sale don't change."""

from typing import TypedDict

from billing.catalogue.custom_amounts import Quote
from billing.catalogue.pack_prices import Price
from billing.catalogue.promotions import PackOnSale
from billing.models import Pack, Promotion

# What an order is called that is of no pack.
CUSTOM = "Custom amount"


class Snapshot(TypedDict):
    """The fields of an order that say what is sold, for how much."""

    pack: Pack | None
    pack_name: str
    credits: int
    bonus_credits: int
    promotion: Promotion | None
    amount_cents: int
    currency: str
    stripe_price_id: str
    validity_days: int | None


def of_pack(sold: PackOnSale, price: Price) -> Snapshot:
    """Return the terms of a pack at one of its prices.

    With a bonus, Stripe is given the amount: its catalogue says how many credits there are without.
    """
    return {
        "pack": sold.pack,
        "pack_name": sold.pack.name,
        "credits": sold.credits,
        "bonus_credits": sold.bonus_credits,
        "promotion": sold.promotion,
        "amount_cents": price.amount_cents,
        "currency": price.currency,
        "stripe_price_id": "" if sold.bonus_credits else price.stripe_price_id,
        "validity_days": sold.pack.validity_days,
    }


def of_quote(quote: Quote) -> Snapshot:
    """Return the terms of an amount. Stripe is given the amount, because its catalogue has none."""
    return {
        "pack": None,
        "pack_name": CUSTOM,
        "credits": quote.credits,
        "bonus_credits": quote.bonus_credits,
        "promotion": quote.promotion,
        "amount_cents": quote.amount_cents,
        "currency": quote.currency,
        "stripe_price_id": "",
        "validity_days": quote.validity_days,
    }


def describe(credits: int, bonus_credits: int) -> str:
    """Say in English, for Stripe, what is sold."""
    bonus = f", {bonus_credits:,} of them a bonus" if bonus_credits else ""
    return f"{credits:,} credits{bonus}"
