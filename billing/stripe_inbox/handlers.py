"""What each kind of Stripe event makes us look at.

A handler takes from an event which object it is about, and nothing else: what is done follows from
the object's present state in Stripe. So every handler may run twice, late and in any order.
"""

from collections.abc import Callable

import structlog

from billing.exceptions import OrderMissing
from billing.models import Order, StripeEvent
from billing.orders.clawback import settle_charge
from billing.orders.disputes import heed_fraud_warning
from billing.orders.fulfilment import fulfil_order
from billing.orders.top_up_payments import settle_payment
from billing.stripe_api.payments import CHANNEL_KEY
from billing.top_ups.cards import finish_setup

log = structlog.get_logger(__name__)


def _fulfil(event: StripeEvent) -> None:
    try:
        fulfil_order(event.object_id)
    except OrderMissing:
        # Something else sells through the same Stripe account.
        log.info("stripe_event_not_ours", event_id=event.event_id, session_id=event.object_id)


def _complete(event: StripeEvent) -> None:
    if event.payload["data"]["object"].get("mode") == "setup":
        finish_setup(event.object_id)
    else:
        _fulfil(event)


def _settle_top_up(event: StripeEvent) -> None:
    """Look at a payment without Checkout. Those of Checkout have events of their session."""
    metadata = event.payload["data"]["object"].get("metadata") or {}
    if metadata.get(CHANNEL_KEY) != Order.Channel.TOP_UP:
        return
    try:
        settle_payment(event.object_id)
    except OrderMissing:
        log.info("stripe_event_not_ours", event_id=event.event_id, payment=event.object_id)


def _settle(event: StripeEvent) -> None:
    settle_charge(event.object_id)


def _settle_parent(event: StripeEvent) -> None:
    charge_id = _charge_id(event)
    if charge_id:
        settle_charge(charge_id)


def _heed_fraud_warning(event: StripeEvent) -> None:
    charge_id = _charge_id(event)
    if charge_id:
        heed_fraud_warning(charge_id, warning_id=event.object_id)


def _charge_id(event: StripeEvent) -> str:
    """Return which charge a refund, dispute or warning is about. That never changes."""
    charge = event.payload["data"]["object"].get("charge")
    return str(charge["id"] if isinstance(charge, dict) else charge or "")


# Every other kind is stored and needs nothing done.
HANDLERS: dict[str, Callable[[StripeEvent], None]] = {
    "checkout.session.completed": _complete,
    "checkout.session.async_payment_succeeded": _fulfil,
    "checkout.session.async_payment_failed": _fulfil,
    "checkout.session.expired": _fulfil,
    "payment_intent.succeeded": _settle_top_up,
    "payment_intent.processing": _settle_top_up,
    "payment_intent.payment_failed": _settle_top_up,
    "payment_intent.requires_action": _settle_top_up,
    "payment_intent.canceled": _settle_top_up,
    "charge.refunded": _settle,
    "charge.refund.updated": _settle_parent,
    "refund.created": _settle_parent,
    "refund.updated": _settle_parent,
    "refund.failed": _settle_parent,
    "charge.dispute.created": _settle_parent,
    "charge.dispute.updated": _settle_parent,
    "charge.dispute.funds_withdrawn": _settle_parent,
    "charge.dispute.funds_reinstated": _settle_parent,
    "charge.dispute.closed": _settle_parent,
    "radar.early_fraud_warning.created": _heed_fraud_warning,
}
