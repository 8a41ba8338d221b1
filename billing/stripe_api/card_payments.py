"""PaymentIntents without Checkout: a saved card is charged while its owner is away."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import stripe
from stripe.params import PaymentIntentCreateParams

from billing.exceptions import PaymentProviderRefusal
from billing.stripe_api.charges import describe_charge, read_id
from billing.stripe_api.client import ORDER_KEY, call_stripe, read_metadata
from billing.stripe_api.payments import Payment, PaymentState

INTENT_ID = re.compile(r"pi_[A-Za-z0-9_]{1,110}")
# The key of the order's channel in the metadata of a payment without a Checkout Session.
CHANNEL_KEY = "channel"
AUTHENTICATION_CODES = ("authentication_required", "payment_intent_authentication_failure")
PAGE = 100
# Codes of refusals that are about the payment method, beside those whose parameter names it.
# https://docs.stripe.com/error-codes
METHOD_CODES = (
    "payment_intent_incompatible_payment_method",
    "payment_method_customer_decline",
    "payment_method_provider_decline",
    "payment_method_not_available",
    "payment_method_unexpected_state",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CardPayment(Payment):
    """The present state of a PaymentIntent. Absent texts are empty."""

    channel: str
    customer_id: str
    status: str
    amount_cents: int
    error_code: str
    decline_code: str

    @property
    def needs_authentication(self) -> bool:
        """Tell whether the bank wants the customer to confirm the payment."""
        return self.status == "requires_action" or bool(
            {self.error_code, self.decline_code} & set(AUTHENTICATION_CODES)
        )


def create_payment(params: Mapping[str, Any], *, idempotency_key: str) -> str:
    """Charge a saved card, and return the PaymentIntent's id, whether paid, pending or declined.

    Safe to repeat for a day with the same key and params.
    """
    # The params were type-checked when they were written down, and are read back from JSON.
    given = cast(PaymentIntentCreateParams, params)
    with call_stripe() as client:
        try:
            intent = client.v1.payment_intents.create(given, {"idempotency_key": idempotency_key})
        except stripe.CardError as error:
            if intent_id := _declined_id(error):
                return intent_id
            raise
        return intent.id


def read_payment(payment_intent_id: str) -> CardPayment:
    """Read a PaymentIntent with its charge. Raises PaymentObjectMissing."""
    with call_stripe() as client:
        intent = client.v1.payment_intents.retrieve(
            payment_intent_id, {"expand": ["latest_charge.refunds"]}
        )
        return _payment(client, intent)


def find_payment(customer_id: str, *, order_id: str) -> str | None:
    """Return the id of a customer's PaymentIntent that names this order; None if there is none."""
    with call_stripe() as client:
        found = client.v1.payment_intents.list({"customer": customer_id, "limit": PAGE})
        for intent in found.auto_paging_iter():
            if read_metadata(intent.metadata, ORDER_KEY) == order_id:
                return intent.id
    return None


def names_method(refusal: PaymentProviderRefusal) -> bool:
    """Tell whether Stripe refused a charge because of its payment method."""
    return refusal.param.startswith("payment_method") or refusal.code in METHOD_CODES


def cancel_payment(payment_intent_id: str) -> None:
    """Cancel a PaymentIntent. Raises PaymentProviderRefusal if it is paid or cancelled already."""
    with call_stripe() as client:
        client.v1.payment_intents.cancel(payment_intent_id)


def _declined_id(error: stripe.CardError) -> str:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    intent = body.get("error", {}).get("payment_intent") or {}
    return str(intent.get("id", ""))


def _payment(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> CardPayment:
    error = intent.last_payment_error
    charge = intent.latest_charge
    return CardPayment(
        state=_state(intent),
        payment_intent_id=intent.id,
        order_id=read_metadata(intent.metadata, ORDER_KEY),
        channel=read_metadata(intent.metadata, CHANNEL_KEY),
        customer_id=read_id(intent.customer),
        is_live=intent.livemode,
        status=intent.status,
        amount_cents=intent.amount,
        paid_cents=intent.amount_received or 0,
        currency=intent.currency,
        error_code=(error.code or "") if error else "",
        decline_code=(error.decline_code or "") if error else "",
        charge=describe_charge(client, charge) if isinstance(charge, stripe.Charge) else None,
    )


def _state(intent: stripe.PaymentIntent) -> PaymentState:
    error = intent.last_payment_error
    if intent.status == "succeeded":
        return PaymentState.PAID
    if intent.status == "processing":
        return PaymentState.PENDING
    if intent.status in {"canceled", "requires_action"}:
        return PaymentState.FAILED
    # Without an error it has not been attempted: a new one waits for a payment method, too.
    if intent.status == "requires_payment_method" and error and error.code:
        return PaymentState.FAILED
    return PaymentState.OPEN
