"""Orders in review: a person decides whether to credit or to close an order."""

from django.db import transaction

from accounts.models import User
from billing.exceptions import MissingReason, OrderMismatch
from billing.ledger.inbox import resolve_item
from billing.ledger.lot_money import Paid
from billing.models import InboxItem, Order
from billing.orders.clawback import move_to_target
from billing.orders.fulfilment import PAYMENT_FIELDS, credit_order, paid_for
from billing.orders.notices import notify_order


def credit_reviewed(order: Order, *, actor: User, reason: str) -> Order:
    """Credit an order in review as it was ordered. What was refunded by now is taken back at once.

    Raises OrderMismatch if it is not in review, MissingReason, InvalidAmount.
    """
    return _decide(order, actor=actor, reason=reason, is_credited=True)


def close_reviewed(order: Order, *, actor: User, reason: str) -> Order:
    """Close an order in review for good, without credits. Its payment can still be refunded.

    Raises OrderMismatch if it is not in review, MissingReason.
    """
    return _decide(order, actor=actor, reason=reason, is_credited=False)


@transaction.atomic
def _decide(order: Order, *, actor: User, reason: str, is_credited: bool) -> Order:
    word = reason.strip()[:200]
    if not word:
        raise MissingReason("A reason is required: it is what the record will say.")
    locked = Order.objects.select_for_update().get(pk=order.pk)
    if locked.status != Order.Status.REVIEW:
        raise OrderMismatch("This order is not in review.")
    finding = InboxItem.objects.filter(
        kind="order_mismatch", reference=str(locked.public_id)
    ).first()
    if is_credited:
        credit_order(locked, _paid_for(locked, finding))
    else:
        locked.status = Order.Status.CLOSED
    locked.save(update_fields=PAYMENT_FIELDS)
    if is_credited:
        notify_order(locked)
    move_to_target(locked)
    if finding is not None:
        word = f"{'Credited' if is_credited else 'Closed'}: {word}"
        resolve_item(finding, actor=actor, resolution=word)
    return locked


def _paid_for(order: Order, finding: InboxItem | None) -> Paid:
    """Return what was paid; not known if it may have been in another currency than ordered."""
    if finding is None or finding.detail.get("paid_currency") != order.currency:
        return Paid(None)
    return paid_for(order)
