"""Receipts and invoices of orders. Their addresses at Stripe end after 30 to 120 days, so they are
asked for when somebody wants to see one.

https://docs.stripe.com/receipts and https://docs.stripe.com/invoicing/hosted-invoice-page
"""

from django.core.cache import cache

from accounts.models import User
from billing.exceptions import DocumentMissing, PaymentAccessRefused, PaymentProviderRefusal
from billing.models import Order
from billing.orders.questions import count_question
from billing.stripe_api import read_charge, read_checkout

RECEIPT, INVOICE = "receipt", "invoice"
# Far less than an address lives, and long enough for whoever clicks it again and again.
KEPT_S = 300


def find_document(order: Order, kind: str, *, asker: User) -> str:
    """Return the address at which Stripe shows an order's receipt or invoice now.

    What Stripe said within five minutes is said again. Raises DocumentMissing, TooManyQuestions,
    PaymentProviderError.
    """
    key = f"document:{order.pk}:{kind}"
    known: str | None = cache.get(key)
    if known is None:
        count_question(asker)
        known = _ask(order, kind)
        cache.set(key, known, KEPT_S)
    if not known:
        raise DocumentMissing(f"Stripe shows no {kind} of this order.")
    return known


def _ask(order: Order, kind: str) -> str:
    """Ask Stripe. Empty if it has no such document, or none of an order like this."""
    try:
        return _read(order, kind)
    except PaymentAccessRefused:
        raise
    except PaymentProviderRefusal:
        return ""


def _read(order: Order, kind: str) -> str:
    if kind == RECEIPT and order.stripe_charge_id:
        return read_charge(order.stripe_charge_id).receipt_url
    if kind == INVOICE and order.stripe_session_id:
        return read_checkout(order.stripe_session_id).invoice_url
    return ""
