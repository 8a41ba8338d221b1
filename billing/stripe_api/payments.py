"""PaymentIntents without Checkout: a saved card is charged while its owner is away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import stripe
from stripe.params import PaymentIntentCreateParams

from billing.stripe_api.charges import Charge, describe_charge, read_id
from billing.stripe_api.client import ORDER_KEY, call_stripe, read_metadata

# What an order's metadata say of it if no Checkout Session pays it.
CHANNEL_KEY = "channel"
AUTHENTICATION_CODES = ("authentication_required", "payment_intent_authentication_failure")
PAGE = 100


@dataclass(frozen=True, slots=True)
class Payment:
    """The present state of a PaymentIntent. Absent texts are empty."""

    payment_intent_id: str
    order_id: str
    channel: str
    customer_id: str
    is_live: bool
    status: str
    amount_cents: int
    received_cents: int
    currency: str
    error_code: str
    decline_code: str
    charge: Charge | None

    @property
    def is_paid(self) -> bool:
        return self.status == "succeeded"

    @property
    def is_pending(self) -> bool:
        return self.status == "processing"

    @property
    def needs_authentication(self) -> bool:
        """Tell whether the bank wants the customer to confirm the payment."""
        return self.status == "requires_action" or bool(
            {self.error_code, self.decline_code} & set(AUTHENTICATION_CODES)
        )

    @property
    def is_failed(self) -> bool:
        """Tell whether it was tried and won't be paid by itself any more."""
        return self.status in ("canceled", "requires_action") or (
            self.status == "requires_payment_method" and bool(self.error_code)
        )


def create_payment(params: Mapping[str, Any], *, idempotency_key: str) -> str:
    """Charge a saved card, and return the PaymentIntent's id: paid, pending or declined.

    Safe to repeat for a day with the same key and params.
    """
    # They were checked when they were written down, and come back as JSON.
    given = cast(PaymentIntentCreateParams, params)
    with call_stripe() as client:
        try:
            intent = client.v1.payment_intents.create(given, {"idempotency_key": idempotency_key})
        except stripe.CardError as error:
            if intent_id := _declined_id(error):
                return intent_id
            raise
        return intent.id


def read_payment(payment_intent_id: str) -> Payment:
    """Read a PaymentIntent with its charge. Raises PaymentObjectMissing."""
    with call_stripe() as client:
        intent = client.v1.payment_intents.retrieve(
            payment_intent_id, {"expand": ["latest_charge.refunds"]}
        )
        return _payment(client, intent)


def find_payment(customer_id: str, *, order_id: str) -> str | None:
    """Return the PaymentIntent of a customer that names this order, if there is one."""
    with call_stripe() as client:
        found = client.v1.payment_intents.list({"customer": customer_id, "limit": PAGE})
        for intent in found.auto_paging_iter():
            if read_metadata(intent.metadata, ORDER_KEY) == order_id:
                return intent.id
    return None


def cancel_payment(payment_intent_id: str) -> None:
    """Make sure that a PaymentIntent is never paid. Refused if it was, or is cancelled."""
    with call_stripe() as client:
        client.v1.payment_intents.cancel(payment_intent_id)


def _declined_id(error: stripe.CardError) -> str:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    intent = body.get("error", {}).get("payment_intent") or {}
    return str(intent.get("id", ""))


def _payment(client: stripe.StripeClient, intent: stripe.PaymentIntent) -> Payment:
    error = intent.last_payment_error
    charge = intent.latest_charge
    return Payment(
        payment_intent_id=intent.id,
        order_id=read_metadata(intent.metadata, ORDER_KEY),
        channel=read_metadata(intent.metadata, CHANNEL_KEY),
        customer_id=read_id(intent.customer),
        is_live=intent.livemode,
        status=intent.status,
        amount_cents=intent.amount,
        received_cents=intent.amount_received or 0,
        currency=intent.currency,
        error_code=(error.code or "") if error else "",
        decline_code=(error.decline_code or "") if error else "",
        charge=describe_charge(client, charge) if isinstance(charge, stripe.Charge) else None,
    )
