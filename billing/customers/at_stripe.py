"""The one Customer at Stripe that a wallet's owner has, for Checkout, saved cards and invoices.

Stripe keeps its company, address, tax ids and cards, so that nothing is typed anew. A Customer that
is gone at Stripe (deleted, of the other mode or of another account) is forgotten and made anew.
"""

import hashlib
from collections.abc import Callable
from typing import TypeVar

from django.db.models import F

from accounts.teams.members import first_owner
from billing.exceptions import PaymentObjectMissing
from billing.models import StripeCustomer, Wallet
from billing.stripe_api.customers import create_customer, update_email

Answer = TypeVar("Answer")


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
        stripe_customer_id="", generation=F("generation") + 1
    )


def _use_customer(wallet: Wallet) -> str:
    """Return the id of a wallet's Customer, whose address for mail follows its owner's."""
    known, _ = StripeCustomer.objects.get_or_create(wallet=wallet)
    email = first_owner(wallet.team).email
    if known.stripe_customer_id and known.email != email:
        try:
            update_email(known.stripe_customer_id, email)
            StripeCustomer.objects.filter(pk=known.pk).update(email=email)
        except PaymentObjectMissing:
            forget_customer(known.stripe_customer_id)
            known.refresh_from_db()
    return known.stripe_customer_id or _make(known, email)


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
