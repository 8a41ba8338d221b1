"""Checkout Sessions: the page on which an order is paid, and its present state."""

import re
from dataclasses import dataclass

import stripe
from stripe.params.checkout import SessionCreateParams

from billing.stripe_api.charges import describe_charge, read_id
from billing.stripe_api.client import ORDER_KEY, call_stripe, read_metadata
from billing.stripe_api.payments import Payment, PaymentState

SESSION_ID = re.compile(r"cs_[A-Za-z0-9_]{1,110}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout(Payment):
    """The present state of a Checkout Session and of its payment. Absent texts are empty.

    The subtotal is what was sold; the amount paid is that, less discount, with tax.
    """

    mode: str
    status: str
    payment_status: str
    client_reference: str
    subtotal_cents: int | None
    allows_discount: bool
    adds_tax: bool

    @property
    def is_open(self) -> bool:
        """Tell whether a customer can still pay it."""
        return self.status == "open"


def create_checkout(params: SessionCreateParams, *, idempotency_key: str) -> Checkout:
    """Create a Checkout Session. Safe to repeat with the same key and params for a day."""
    with call_stripe() as client:
        session = client.v1.checkout.sessions.create(params, {"idempotency_key": idempotency_key})
        return _checkout(client, session)


def read_checkout(session_id: str) -> Checkout:
    """Read a Checkout Session with its payment. Raises PaymentObjectMissing if there is none."""
    with call_stripe() as client:
        session = client.v1.checkout.sessions.retrieve(
            session_id, {"expand": ["payment_intent.latest_charge.refunds", "invoice"]}
        )
        return _checkout(client, session)


def expire_checkout(session_id: str) -> None:
    """End an open Checkout Session, so that it can't be paid any more.

    Raises PaymentProviderRefusal if it was paid or has ended, PaymentObjectMissing.
    """
    with call_stripe() as client:
        client.v1.checkout.sessions.expire(session_id)


def _checkout(client: stripe.StripeClient, session: stripe.checkout.Session) -> Checkout:
    intent = session.payment_intent
    payment = intent if isinstance(intent, stripe.PaymentIntent) else None
    charge = payment.latest_charge if payment else None
    paid = charge if isinstance(charge, stripe.Charge) else None
    invoice = session.invoice if isinstance(session.invoice, stripe.Invoice) else None
    totals = session.total_details
    return Checkout(
        state=_state(session, payment),
        session_id=session.id,
        session_url=session.url or "",
        mode=session.mode,
        is_live=session.livemode,
        status=session.status or "",
        payment_status=session.payment_status,
        client_reference=session.client_reference_id or "",
        order_id=read_metadata(session.metadata, ORDER_KEY),
        currency=session.currency or "",
        paid_cents=session.amount_total,
        subtotal_cents=session.amount_subtotal,
        discount_cents=totals.amount_discount if totals else 0,
        tax_cents=totals.amount_tax if totals else 0,
        allows_discount=bool(session.allow_promotion_codes),
        adds_tax=session.automatic_tax.enabled,
        payment_intent_id=read_id(intent),
        invoice_url=(invoice.hosted_invoice_url or "") if invoice else "",
        charge=describe_charge(client, paid) if paid else None,
    )


def _state(session: stripe.checkout.Session, payment: stripe.PaymentIntent | None) -> PaymentState:
    if session.status == "expired":
        return PaymentState.EXPIRED
    if session.status != "complete":
        return PaymentState.OPEN
    if session.payment_status != "unpaid":
        return PaymentState.PAID
    # An asynchronous payment, such as a bank debit, was refused in the end or is on its way.
    if payment and payment.status in {"requires_payment_method", "canceled"}:
        return PaymentState.FAILED
    return PaymentState.PENDING
