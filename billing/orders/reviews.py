"""Orders in review: a person decides whether a payment that differs is credited or closed."""

from django.db import transaction

from accounts.models import User
from billing.exceptions import MissingReason, PurchaseMismatch
from billing.ledger.inbox import resolve_item
from billing.models import InboxItem, Purchase
from billing.notices.tell import tell_purchase
from billing.orders.clawback import move_to_target
from billing.orders.fulfilment import PAYMENT_FIELDS, credit_order


def credit_reviewed(purchase: Purchase, *, actor: User, reason: str) -> Purchase:
    """Credit an order in review as it was ordered. Raises PurchaseMismatch if it is not in review,
    MissingReason, InvalidAmount. What was refunded meanwhile is taken back at once.
    """
    return _decide(purchase, actor=actor, reason=reason, is_credited=True)


def close_reviewed(purchase: Purchase, *, actor: User, reason: str) -> Purchase:
    """Close an order in review for good, without credits. Its payment can still be refunded.

    Raises PurchaseMismatch if it is not in review, MissingReason.
    """
    return _decide(purchase, actor=actor, reason=reason, is_credited=False)


@transaction.atomic
def _decide(purchase: Purchase, *, actor: User, reason: str, is_credited: bool) -> Purchase:
    word = reason.strip()[:200]
    if not word:
        raise MissingReason("A reason is required: it is what the record will say.")
    locked = Purchase.objects.select_for_update().get(pk=purchase.pk)
    if locked.status != Purchase.Status.REVIEW:
        raise PurchaseMismatch("This order is not in review.")
    if is_credited:
        credit_order(locked)
    else:
        locked.status = Purchase.Status.CLOSED
    locked.save(update_fields=PAYMENT_FIELDS)
    if is_credited:
        tell_purchase(locked)
    move_to_target(locked)
    _resolve_finding(locked, actor, f"{'Credited' if is_credited else 'Closed'}: {word}")
    return locked


def _resolve_finding(purchase: Purchase, actor: User, resolution: str) -> None:
    item = InboxItem.objects.filter(
        kind="purchase_mismatch", reference=str(purchase.public_id)
    ).first()
    if item is not None:
        resolve_item(item, actor=actor, resolution=resolution)
