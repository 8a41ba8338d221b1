"""What a pack costs, in its own currency and others, with the Prices in Stripe's catalogue."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.conf import settings
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext

from billing.catalogue.promotions import PackOnSale, put_on_sale
from billing.exceptions import CurrencyUnproven, InvalidAmount, PackUnavailable
from billing.models import Pack, PackPrice
from common.currencies import UNPROVEN, UNPROVEN_REASON, decimal_places, is_unproven, least_charge
from common.money import localised


@dataclass(frozen=True, slots=True)
class Price:
    """What a pack costs in one currency. Without `stripe_price_id` an order names its amount."""

    amount_cents: int
    currency: str
    stripe_price_id: str


def packs_on_sale() -> list[PackOnSale]:
    """Return the packs on sale as they are sold now, in the order that staff gave them."""
    return put_on_sale(sold_packs())


def sold_packs() -> QuerySet[Pack]:
    """Return the packs on sale, with their other prices, whatever a promotion adds."""
    other_prices = PackPrice.objects.exclude(currency__in=UNPROVEN)
    return (
        Pack.objects.filter(is_active=True)
        .exclude(currency__in=UNPROVEN)
        .prefetch_related(Prefetch("other_prices", other_prices))
    )


def dearest_credit(currency: str) -> Decimal | None:
    """Return what a credit costs in a currency's dearest pack, in its whole units, unrounded.

    None if no pack is sold in it. Without promotions: most credits that are spent now were bought
    before, and who compares prices by them shall not see all models' change for a few days.
    """
    packs = sold_packs()
    own = [(pack.price_cents, pack.credits) for pack in packs if pack.currency == currency]
    others = [
        (other.price_cents, pack.credits)
        for pack in packs
        for other in pack.other_prices.all()
        if other.currency == currency
    ]
    places = decimal_places(currency)
    return max(
        (Decimal(cents).scaleb(-places) / credits for cents, credits in own + others), default=None
    )


def list_unproven() -> list[str]:
    """Return the names of stored prices that are not sold because of their currency."""
    packs, others = _stored_prices()
    packs, others = packs.filter(currency__in=UNPROVEN), others.filter(currency__in=UNPROVEN)
    return [f"{pack} in {pack.currency}" for pack in packs] + [str(price) for price in others]


def list_below_minimum() -> list[str]:
    """Return the names of stored prices that Stripe refuses to charge because they are too low."""
    packs, others = _stored_prices()
    rows: list[Pack | PackPrice] = [*packs, *others]
    return [
        f"{row.pack if isinstance(row, PackPrice) else row} in {row.currency}"
        for row in rows
        if row.price_cents < (least_charge(row.currency) or 0)
    ]


def _stored_prices() -> tuple[QuerySet[Pack], QuerySet[PackPrice]]:
    """Return what checks read: `migrate` runs them before it adds the columns of a new version."""
    packs = Pack.objects.filter(is_active=True).only("name", "currency", "price_cents")
    others = PackPrice.objects.select_related("pack")
    return packs, others.only("currency", "price_cents", "pack__name")


def list_prices(pack: Pack) -> list[Price]:
    """Return what a pack costs in each of its currencies, its own first; empty if it isn't sold."""
    return [_price(row) for row in price_rows(pack)]


def get_price(pack: Pack, currency: str) -> Price:
    """Return what a pack costs in a currency; an empty one means the pack's own.

    Raises PackUnavailable, such as CurrencyUnproven.
    """
    wanted = currency or pack.currency
    for price in list_prices(pack):
        if price.currency == wanted:
            return price
    if is_unproven(wanted) or is_unproven(pack.currency):
        raise CurrencyUnproven(UNPROVEN_REASON)
    raise PackUnavailable("This pack is not on sale in this currency.")


def price_rows(pack: Pack) -> list[Pack | PackPrice]:
    """Return the rows of a pack's prices: its own, then one for each other currency.

    Unproven currencies are left out. If the pack's own is unproven, the list is empty.
    """
    if is_unproven(pack.currency):
        return []
    return [pack, *pack.other_prices.exclude(currency__in=[pack.currency, *UNPROVEN])]


def terms_of(row: Pack | PackPrice) -> str:
    """Return what can't be changed on a Price at Stripe, as one text."""
    return f"{row.price_cents} {row.currency} {tax_behavior() or 'untaxed'}"


def tax_behavior() -> Literal["inclusive", "exclusive"] | None:
    """Return Stripe's word for whether our prices include tax; None without automatic tax."""
    if not settings.STRIPE_AUTOMATIC_TAX:
        return None
    return "inclusive" if settings.PRICES_INCLUDE_TAX else "exclusive"


def _price(row: Pack | PackPrice) -> Price:
    is_synced = row.stripe_price_terms == terms_of(row)
    return Price(row.price_cents, row.currency, row.stripe_price_id if is_synced else "")


def to_cents(amount: Decimal, currency: str) -> int:
    """Return a typed amount in the currency's smallest unit. Raises InvalidAmount."""
    scaled = amount.scaleb(decimal_places(currency))
    if scaled != scaled.to_integral_value():
        raise InvalidAmount(
            gettext("{amount} has more decimal places than {currency} does.").format(
                amount=localised(str(amount)), currency=currency.upper()
            )
        )
    return int(scaled)
