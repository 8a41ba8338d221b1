"""The one Customer at Stripe that a wallet's owner has, for Checkout, saved cards and invoices.

Stripe keeps its company, address, tax ids and cards, so that nothing is typed anew. A Customer that
is gone at Stripe (deleted, of the other mode or of another account) is forgotten and made anew.
"""

import hashlib
from collections.abc import Callable
from typing import TypeVar

import structlog
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from stripe.params import CustomerUpdateParamsAddress as Address

from accounts.models import Membership
from accounts.teams.company import Details, read_details
from accounts.teams.members import first_owner
from accounts.teams.roles import ALLOWED, Deed
from billing.exceptions import (
    PaymentAccessRefused,
    PaymentObjectMissing,
    PaymentProviderError,
    PaymentProviderRefusal,
)
from billing.models import StripeCustomer, Wallet
from billing.stripe_api.customers import create_customer, update_customer

Answer = TypeVar("Answer")

# How many Customers a sweep tells of at most, so that others get their turn at Stripe.
MOST_AT_ONCE = 50

log = structlog.get_logger(__name__)


def find_customer_id(wallet: Wallet) -> str:
    """Return the id of a wallet's Customer; empty if there is none."""
    found = StripeCustomer.objects.filter(wallet=wallet).first()
    return found.stripe_customer_id if found else ""


def with_customer(wallet: Wallet, ask: Callable[[str], Answer]) -> Answer:
    """Ask Stripe for something that names the wallet's Customer; make the Customer if need be.

    One that is gone is made anew, and Stripe is asked again. Safe to race: both make the same one.
    Raises PaymentProviderError.
    """
    customer_id = _use_customer(wallet)
    try:
        return ask(customer_id)
    except PaymentObjectMissing as missing:
        if missing.param != "customer":
            raise
    forget_customer(customer_id)
    return ask(_use_customer(wallet))


def forget_customer(customer_id: str) -> None:
    """Forget a Customer that is gone at Stripe. Safe to repeat and to race."""
    StripeCustomer.objects.filter(stripe_customer_id=customer_id).update(
        stripe_customer_id="", details_digest="", generation=F("generation") + 1
    )


def follow_addresses() -> int:
    """Tell Stripe the addresses that have changed since it was told them. Safe to repeat.

    Returns how many were dealt with. Where Stripe can't be reached, the next sweep goes on. What
    Stripe refuses it is not told again.
    """
    done = 0
    for customer in _moved()[:MOST_AT_ONCE]:
        try:
            _use_customer(customer.wallet)
        except PaymentProviderError as error:
            log.warning("address_not_told", wallet_id=customer.wallet_id, error=str(error))
            if isinstance(error, PaymentAccessRefused) or not isinstance(
                error, PaymentProviderRefusal
            ):
                break
            email = first_owner(customer.wallet.team).email
            StripeCustomer.objects.filter(pk=customer.pk).update(email=email)
        done += 1
    return done


def _moved() -> QuerySet[StripeCustomer]:
    """Return the Customers of open teams whose owner (`first_owner`) has another address."""
    owners = Membership.objects.filter(
        team=OuterRef("wallet__team"), role__in=ALLOWED[Deed.CHANGE_TEAM], user__is_active=True
    ).order_by("joined_at", "user")
    known = StripeCustomer.objects.exclude(stripe_customer_id="").filter(
        wallet__team__closed_at=None
    )
    owner = Coalesce("wallet__team__person__email", Subquery(owners.values("user__email")[:1]))
    moved = known.annotate(owner=owner).exclude(owner=None).exclude(email=F("owner"))
    return moved.select_related("wallet__team__person").order_by("pk")


def _use_customer(wallet: Wallet) -> str:
    """Return the id of a wallet's Customer, which follows its owner's address and company."""
    known, _ = StripeCustomer.objects.get_or_create(wallet=wallet)
    email, details = first_owner(wallet.team).email, read_details(wallet.team)
    customer_id = known.stripe_customer_id or _make(known, email)
    digest = _digest(details)
    if (known.email, known.details_digest) == (email, digest):
        return customer_id
    try:
        update_customer(customer_id, email=email, name=details.name, address=_address(details))
    except PaymentObjectMissing:
        forget_customer(customer_id)
        known.refresh_from_db()
        return _make(known, email)
    StripeCustomer.objects.filter(pk=known.pk).update(email=email, details_digest=digest)
    return customer_id


def _digest(details: Details) -> str:
    """Return a digest of name and address; empty of none. For the tax id Checkout asks itself."""
    known = [details.name, details.street, details.postal_code, details.city, details.country]
    return hashlib.sha256("\n".join(known).encode()).hexdigest() if any(known) else ""


def _address(details: Details) -> Address:
    lines: Address = {}
    if details.street:
        lines["line1"] = details.street
    if details.postal_code:
        lines["postal_code"] = details.postal_code
    if details.city:
        lines["city"] = details.city
    if details.country:
        lines["country"] = details.country
    return lines


def _make(known: StripeCustomer, email: str) -> str:
    # Stripe refuses a key that is repeated with another address, and would answer the key of a
    # Customer that is gone with that very Customer.
    mark = hashlib.sha256(email.encode()).hexdigest()[:12]
    customer_id = create_customer(
        email=email,
        owner_id=str(known.public_id),
        idempotency_key=f"customer-{known.public_id}-{known.generation}-{mark}",
    )
    StripeCustomer.objects.filter(pk=known.pk, stripe_customer_id="").update(
        stripe_customer_id=customer_id, email=email
    )
    known.refresh_from_db()
    return known.stripe_customer_id
