"""Receipts and invoices of orders. Their addresses at Stripe end after 30 to 120 days, so they are
asked for when somebody wants to see one.

https://docs.stripe.com/receipts and https://docs.stripe.com/invoicing/hosted-invoice-page
"""

from billing.exceptions import DocumentMissing, PaymentProviderRefusal
from billing.models import Order
from billing.stripe_api import read_charge, read_checkout

RECEIPT, INVOICE = "receipt", "invoice"


def find_document(order: Order, kind: str) -> str:
    """Return the address at which Stripe shows an order's receipt or invoice now.

    Raises DocumentMissing, PaymentProviderError.
    """
    try:
        url = _read(order, kind)
    except PaymentProviderRefusal as refusal:
        raise DocumentMissing(f"Stripe does not show this {kind}.") from refusal
    if not url:
        raise DocumentMissing(f"This order has no {kind}.")
    return url


def _read(order: Order, kind: str) -> str:
    if kind == RECEIPT and order.stripe_charge_id:
        return read_charge(order.stripe_charge_id).receipt_url
    if kind == INVOICE and order.stripe_session_id:
        return read_checkout(order.stripe_session_id).invoice_url
    return ""
