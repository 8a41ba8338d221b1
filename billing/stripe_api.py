"""Stripe's API, as far as the product uses it: every call to Stripe is made in this module.

No transaction is open and no database connection is held while Stripe is waited for. What Stripe
says comes back as a small value of ours, so that nothing else depends on the SDK's objects.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import stripe
import structlog
from django.conf import settings
from django.db import connection
from stripe.params.checkout import SessionCreateParams

from billing.exceptions import (
    PaymentObjectMissing,
    PaymentProviderError,
    PaymentProviderRefusal,
)

# The key of our order's id in the metadata of sessions, payment intents and their charges.
ORDER_KEY = "order_id"
CONNECT_TIMEOUT_S = 5
# The SDK repeats what failed on the network or with 409 and 5xx, under the same idempotency key.
NETWORK_RETRIES = 2
# These say that nothing was done. An IdempotencyError does not: the first call may have worked.
REFUSALS = (
    stripe.InvalidRequestError,
    stripe.AuthenticationError,
    stripe.PermissionError,
    stripe.CardError,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Checkout:
    """The present state of a Checkout Session and of its payment. Absent texts are empty."""

    session_id: str
    url: str
    mode: str
    is_live: bool
    status: str
    payment_status: str
    client_reference: str
    order_id: str
    currency: str
    amount_cents: int | None
    payment_intent_id: str
    payment_intent_status: str
    receipt_url: str
    refunded_cents: int

    @property
    def is_open(self) -> bool:
        """Tell whether a customer can still pay it."""
        return self.status == "open"

    @property
    def is_settled(self) -> bool:
        """Tell whether the customer owes nothing more; `payment_status` says why."""
        return self.status == "complete" and self.payment_status != "unpaid"

    @property
    def is_failed(self) -> bool:
        """Tell whether an asynchronous payment, such as a bank debit, was refused in the end."""
        return (
            self.status == "complete"
            and self.payment_status == "unpaid"
            and self.payment_intent_status in {"requires_payment_method", "canceled"}
        )


@dataclass(frozen=True, slots=True)
class Charge:
    """The present state of a charge."""

    charge_id: str
    order_id: str
    refunded_cents: int


def create_checkout(params: SessionCreateParams, *, idempotency_key: str) -> Checkout:
    """Create a Checkout Session. Safe to repeat with the same key and params for a day."""
    with call_stripe() as client:
        session = client.v1.checkout.sessions.create(params, {"idempotency_key": idempotency_key})
        return _checkout(session)


def read_checkout(session_id: str) -> Checkout:
    """Read a Checkout Session with its payment. Raises PaymentObjectMissing if there is none."""
    with call_stripe() as client:
        session = client.v1.checkout.sessions.retrieve(
            session_id, {"expand": ["payment_intent.latest_charge"]}
        )
        return _checkout(session)


def read_charge(charge_id: str) -> Charge:
    """Read a charge. Raises PaymentObjectMissing if there is none."""
    with call_stripe() as client:
        charge = client.v1.charges.retrieve(charge_id)
        return Charge(
            charge_id=charge.id,
            order_id=_order_id(charge.metadata),
            refunded_cents=charge.amount_refunded,
        )


def parse_order_id(text: str) -> uuid.UUID | None:
    """Return the order's id that Stripe's metadata or reference holds; None if it is not one."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


@contextmanager
def call_stripe() -> Iterator[stripe.StripeClient]:
    """Give the client, and turn its errors into ours.

    The messages of ours may be shown to a customer; Stripe's own go to the log.
    """
    release_connection()
    try:
        yield _client(
            settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT_S
        )
    except stripe.StripeError as error:
        log.warning(
            "stripe_call_failed",
            error=type(error).__name__,
            code=error.code,
            status=error.http_status,
            stripe_request_id=error.request_id,
            message=error.user_message,
        )
        raise _translate(error) from error


def release_connection() -> None:
    """Give the thread's database connection back to the pool. Refused inside a transaction."""
    # Django marks the transaction around a test case, which is not one that the product opened.
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise RuntimeError("Stripe must not be called inside a transaction.")
    if not connection.atomic_blocks:
        connection.close()


def _translate(error: stripe.StripeError) -> PaymentProviderError:
    if error.code == "resource_missing":
        return PaymentObjectMissing("The payment provider does not know this payment.")
    if isinstance(error, REFUSALS):
        return PaymentProviderRefusal("The payment provider refused the request.")
    return PaymentProviderError("The payment provider did not answer. Please try again.")


@lru_cache(maxsize=4)
def _client(secret_key: str, api_base: str, timeout_s: int) -> stripe.StripeClient:
    """Return the client for these settings; one serves every thread of a process."""
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base} if api_base else {},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT_S, timeout_s)),
    )


def _checkout(session: stripe.checkout.Session) -> Checkout:
    intent = session.payment_intent
    payment = intent if isinstance(intent, stripe.PaymentIntent) else None
    charge = payment.latest_charge if payment else None
    paid = charge if isinstance(charge, stripe.Charge) else None
    return Checkout(
        session_id=session.id,
        url=session.url or "",
        mode=session.mode,
        is_live=session.livemode,
        status=session.status or "",
        payment_status=session.payment_status,
        client_reference=session.client_reference_id or "",
        order_id=_order_id(session.metadata),
        currency=session.currency or "",
        amount_cents=session.amount_total,
        payment_intent_id=_id(intent),
        payment_intent_status=payment.status if payment else "",
        receipt_url=(paid.receipt_url or "") if paid else "",
        refunded_cents=paid.amount_refunded if paid else 0,
    )


def _order_id(metadata: stripe.StripeObject | None) -> str:
    return str(metadata[ORDER_KEY]) if metadata is not None and ORDER_KEY in metadata else ""


def _id(expandable: str | stripe.PaymentIntent | None) -> str:
    """Return the id of an object that Stripe may or may not have expanded."""
    if expandable is None or isinstance(expandable, str):
        return expandable or ""
    return expandable.id
