"""The terms of an order as they are agreed, which later edits of what is on sale don't change."""

from typing import TypedDict

from billing.catalogue.custom_amounts import Quote
from billing.catalogue.pack_prices import Price
from billing.models import Pack

# What an order is called that is of no pack.
CUSTOM = "Custom amount"


class Snapshot(TypedDict):
    """The fields of an order that say what is sold, for how much."""

    pack: Pack | None
    pack_name: str
    credits: int
    amount_cents: int
    currency: str
    stripe_price_id: str
    validity_days: int | None


def of_pack(pack: Pack, price: Price) -> Snapshot:
    """Return the terms of a pack at one of its prices."""
    return {
        "pack": pack,
        "pack_name": pack.name,
        "credits": pack.credits,
        "amount_cents": price.amount_cents,
        "currency": price.currency,
        "stripe_price_id": price.stripe_price_id,
        "validity_days": pack.validity_days,
    }


def of_quote(quote: Quote) -> Snapshot:
    """Return the terms of an amount. Stripe is given the amount, because its catalogue has none."""
    return {
        "pack": None,
        "pack_name": CUSTOM,
        "credits": quote.credits,
        "amount_cents": quote.amount_cents,
        "currency": quote.currency,
        "stripe_price_id": "",
        "validity_days": quote.validity_days,
    }
