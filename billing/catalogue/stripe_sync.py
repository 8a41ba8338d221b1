"""Bring Stripe's catalogue in line with ours: a Product per pack, a Price per currency.

A sync finds each object by a name that we chose: the product's id, the price's lookup key. So it
may die anywhere and be repeated. A Price's amount can't be changed: a new Price takes its key.
"""

from billing.catalogue.pack_prices import price_rows, tax_behavior, terms_of
from billing.models import Pack, PackPrice
from billing.stripe_api.catalogue import (
    CataloguePrice,
    CatalogueProduct,
    create_price,
    create_product,
    find_price,
    find_product,
    retire_price,
    update_product,
)
from common.currencies import is_unproven


def sync_packs() -> list[str]:
    """Create and update every pack's Product and Prices; return what was done, a line each.

    Prices in an unproven currency are left out: `list_unproven` names them. Safe to repeat: what
    agrees already is not changed. Raises PaymentProviderError.
    """
    return [line for pack in Pack.objects.order_by("pk") for line in _sync(pack)]


def _sync(pack: Pack) -> list[str]:
    if pack.is_active and is_unproven(pack.currency):
        return []
    product_id = pack.stripe_product_id or f"tokenproxy-{pack.slug}"
    done = _sync_product(pack, product_id)
    Pack.objects.filter(pk=pack.pk).update(stripe_product_id=product_id)
    if pack.is_active:
        for row in price_rows(pack):
            done += _sync_price(row, product_id)
    return done


def _sync_product(pack: Pack, product_id: str) -> list[str]:
    wanted = CatalogueProduct(
        product_id, pack.name, pack.description or f"{pack.credits:,} credits", pack.is_active
    )
    found = find_product(product_id)
    if found is None:
        create_product(wanted)
        return [f"{product_id}: created"]
    if found != wanted:
        update_product(wanted)
        return [f"{product_id}: updated"]
    return []


def _sync_price(row: Pack | PackPrice, product_id: str) -> list[str]:
    lookup_key = f"{product_id}-{row.currency}"
    found = find_price(lookup_key)
    if found and _agrees(found, row, product_id):
        _keep(row, found)
        return []
    made = create_price(
        product_id,
        amount_cents=row.price_cents,
        currency=row.currency,
        lookup_key=lookup_key,
        tax_behavior=tax_behavior(),
    )
    _keep(row, made)
    if found:
        retire_price(found.price_id)
    return [f"{lookup_key}: {row.price_cents} ({made.price_id})"]


def _agrees(found: CataloguePrice, row: Pack | PackPrice, product_id: str) -> bool:
    behavior = tax_behavior()
    return (
        found.is_active
        and (found.product_id, found.amount_cents, found.currency)
        == (product_id, row.price_cents, row.currency)
        and (behavior is None or found.tax_behavior == behavior)
    )


def _keep(row: Pack | PackPrice, price: CataloguePrice) -> None:
    """Save the Price and its terms on the row, unless the row was edited in the meantime."""
    rows = type(row)._default_manager.filter(
        pk=row.pk, price_cents=row.price_cents, currency=row.currency
    )
    rows.update(stripe_price_id=price.price_id, stripe_price_terms=terms_of(row))
