"""What each kind of Stripe event makes us look at.

A handler takes from an event which object it is about, and nothing else: what is done follows from
the object's present state in Stripe. So every handler may run twice, late and in any order.
"""

from collections.abc import Callable

import structlog

from billing.exceptions import PurchaseMissing
from billing.models import StripeEvent
from billing.services.clawback import claw_back_refunds, freeze_disputed
from billing.services.fulfilment import fulfil_purchase
from billing.services.inbox import file_item

log = structlog.get_logger(__name__)


def _fulfil(event: StripeEvent) -> None:
    try:
        fulfil_purchase(event.object_id)
    except PurchaseMissing:
        # Something else sells through the same Stripe account.
        log.info("stripe_event_not_ours", event_id=event.event_id, session_id=event.object_id)


def _claw_back(event: StripeEvent) -> None:
    claw_back_refunds(event.object_id)


def _claw_back_refund(event: StripeEvent) -> None:
    charge_id = _charge_id(event)
    if charge_id:
        claw_back_refunds(charge_id)


def _freeze_for_dispute(event: StripeEvent) -> None:
    _freeze(event, kind="dispute", summary=f"The payment is disputed ({event.object_id}).")


def _report_dispute_closed(event: StripeEvent) -> None:
    if _freeze(event, kind="dispute", summary=f"The payment is disputed ({event.object_id})."):
        file_item(
            kind="dispute_closed",
            reference=event.object_id,
            summary="A dispute was closed. Unfreeze the wallet if it was won.",
        )


def _freeze_for_fraud_warning(event: StripeEvent) -> None:
    _freeze(event, kind="fraud_warning", summary=f"Stripe warns of fraud ({event.object_id}).")


def _freeze(event: StripeEvent, *, kind: str, summary: str) -> bool:
    """Freeze the wallet that a dispute or warning is about. False if it is none of ours."""
    charge_id = _charge_id(event)
    return bool(charge_id) and freeze_disputed(
        charge_id, kind=kind, reference=event.object_id, summary=summary
    )


def _charge_id(event: StripeEvent) -> str:
    """Return which charge a refund, dispute or warning is about. That never changes."""
    charge = event.payload["data"]["object"].get("charge")
    return str(charge["id"] if isinstance(charge, dict) else charge or "")


# Every other kind is stored and needs nothing done.
HANDLERS: dict[str, Callable[[StripeEvent], None]] = {
    "checkout.session.completed": _fulfil,
    "checkout.session.async_payment_succeeded": _fulfil,
    "checkout.session.async_payment_failed": _fulfil,
    "checkout.session.expired": _fulfil,
    "charge.refunded": _claw_back,
    "refund.created": _claw_back_refund,
    "refund.updated": _claw_back_refund,
    "refund.failed": _claw_back_refund,
    "charge.dispute.created": _freeze_for_dispute,
    "charge.dispute.updated": _freeze_for_dispute,
    "charge.dispute.funds_withdrawn": _freeze_for_dispute,
    "charge.dispute.funds_reinstated": _freeze_for_dispute,
    "charge.dispute.closed": _report_dispute_closed,
    "radar.early_fraud_warning.created": _freeze_for_fraud_warning,
}
