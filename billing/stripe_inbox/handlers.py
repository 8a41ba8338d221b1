"""The handler for each kind of Stripe event.

A handler takes from an event only the id of its object, and acts on the object's present state at
Stripe. So every handler may run twice, late and in any order.
"""

from collections.abc import Callable

import structlog

from billing.exceptions import OrderMissing
from billing.models import Order, StripeEvent
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.clawback import book_charge
from billing.orders.disputes import heed_fraud_warning
from billing.orders.top_up_payments import fulfil_top_up
from billing.stripe_api.card_payments import CHANNEL_KEY
from billing.top_ups.cards import finish_setup

log = structlog.get_logger(__name__)


def _fulfil(event: StripeEvent) -> None:
    try:
        fulfil_checkout(event.object_id)
    except OrderMissing:
        # Others may sell through the same Stripe account.
        log.info("stripe_event_not_ours", event_id=event.event_id, session_id=event.object_id)


def _complete(event: StripeEvent) -> None:
    if event.payload["data"]["object"].get("mode") == "setup":
        finish_setup(event.object_id)
    else:
        _fulfil(event)


def _fulfil_top_up(event: StripeEvent) -> None:
    """Fulfil a payment without Checkout. Those of Checkout have events of their session."""
    metadata = event.payload["data"]["object"].get("metadata") or {}
    if metadata.get(CHANNEL_KEY) != Order.Channel.TOP_UP:
        return
    try:
        fulfil_top_up(event.object_id)
    except OrderMissing:
        log.info("stripe_event_not_ours", event_id=event.event_id, payment=event.object_id)


def _book_charge(event: StripeEvent) -> None:
    book_charge(event.object_id)


def _book_parent_charge(event: StripeEvent) -> None:
    charge_id = _charge_id(event)
    if charge_id:
        book_charge(charge_id)


def _heed_fraud_warning(event: StripeEvent) -> None:
    heed_fraud_warning(event.object_id)


def _charge_id(event: StripeEvent) -> str:
    """Return the id of the charge that a refund or dispute is about. It never changes."""
    charge = event.payload["data"]["object"].get("charge")
    return str(charge["id"] if isinstance(charge, dict) else charge or "")


# An event of any other kind is stored and has no handler.
HANDLERS: dict[str, Callable[[StripeEvent], None]] = {
    "checkout.session.completed": _complete,
    "checkout.session.async_payment_succeeded": _fulfil,
    "checkout.session.async_payment_failed": _fulfil,
    "checkout.session.expired": _fulfil,
    "payment_intent.succeeded": _fulfil_top_up,
    "payment_intent.processing": _fulfil_top_up,
    "payment_intent.payment_failed": _fulfil_top_up,
    "payment_intent.requires_action": _fulfil_top_up,
    "payment_intent.canceled": _fulfil_top_up,
    "charge.refunded": _book_charge,
    "charge.refund.updated": _book_parent_charge,
    "refund.created": _book_parent_charge,
    "refund.updated": _book_parent_charge,
    "refund.failed": _book_parent_charge,
    "charge.dispute.created": _book_parent_charge,
    "charge.dispute.updated": _book_parent_charge,
    "charge.dispute.funds_withdrawn": _book_parent_charge,
    "charge.dispute.funds_reinstated": _book_parent_charge,
    "charge.dispute.closed": _book_parent_charge,
    "radar.early_fraud_warning.created": _heed_fraud_warning,
}
