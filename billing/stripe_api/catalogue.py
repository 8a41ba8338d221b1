"""Stripe's catalogue: a product for each pack, a price for each of its currencies."""

from dataclasses import dataclass
from typing import Literal

import stripe
from stripe.params import PriceCreateParams, ProductCreateParams, ProductUpdateParams

from billing.exceptions import PaymentObjectMissing
from billing.stripe_api.client import call_stripe


@dataclass(frozen=True, slots=True)
class CatalogueProduct:
    """The fields of a product that we set."""

    product_id: str
    name: str
    description: str
    is_active: bool


@dataclass(frozen=True, slots=True)
class CataloguePrice:
    """A price. Its amount, currency and tax behaviour can't be changed."""

    price_id: str
    product_id: str
    amount_cents: int | None
    currency: str
    tax_behavior: str
    is_active: bool


def find_product(product_id: str) -> CatalogueProduct | None:
    """Read a product; None if Stripe has none with this id."""
    try:
        with call_stripe() as client:
            product = client.v1.products.retrieve(product_id)
    except PaymentObjectMissing:
        return None
    return CatalogueProduct(product.id, product.name, product.description or "", product.active)


def create_product(product: CatalogueProduct) -> None:
    """Create a product under an id that we chose, so that a second attempt can find it."""
    params: ProductCreateParams = {
        "id": product.product_id,
        "name": product.name,
        "active": product.is_active,
    }
    if product.description:
        params["description"] = product.description
    with call_stripe() as client:
        client.v1.products.create(params)


def update_product(product: CatalogueProduct) -> None:
    """Set a product's name, description and activity. Safe to repeat."""
    params: ProductUpdateParams = {
        "name": product.name,
        "description": product.description,
        "active": product.is_active,
    }
    with call_stripe() as client:
        client.v1.products.update(product.product_id, params)


def find_price(lookup_key: str) -> CataloguePrice | None:
    """Return the price that has this lookup key now; None if none has."""
    with call_stripe() as client:
        found = client.v1.prices.list({"lookup_keys": [lookup_key], "limit": 1}).data
        return _price(found[0]) if found else None


def create_price(
    product_id: str,
    *,
    amount_cents: int,
    currency: str,
    lookup_key: str,
    tax_behavior: Literal["inclusive", "exclusive"] | None,
) -> CataloguePrice:
    """Create a price with this lookup key, which is taken from the price that had it."""
    params: PriceCreateParams = {
        "product": product_id,
        "currency": currency,
        "unit_amount": amount_cents,
        "lookup_key": lookup_key,
        "transfer_lookup_key": True,
    }
    if tax_behavior:
        params["tax_behavior"] = tax_behavior
    with call_stripe() as client:
        return _price(client.v1.prices.create(params))


def retire_price(price_id: str) -> None:
    """Take a price off sale; sessions created with it can still be paid. Safe to repeat."""
    with call_stripe() as client:
        client.v1.prices.update(price_id, {"active": False})


def _price(price: stripe.Price) -> CataloguePrice:
    product = price.product
    return CataloguePrice(
        price_id=price.id,
        product_id=product if isinstance(product, str) else product.id,
        amount_cents=price.unit_amount,
        currency=price.currency,
        tax_behavior=price.tax_behavior or "unspecified",
        is_active=price.active,
    )
