"""The sweep over open orders finds out what neither webhook nor return page told us."""

from datetime import datetime, timedelta

import structlog
from django.db.models import QuerySet
from django.utils import timezone

from billing.exceptions import (
    PaymentObjectMissing,
    PaymentProviderAway,
    PurchaseMissing,
)
from billing.models import Purchase
from billing.orders.checkout import open_session
from billing.orders.fulfilment import fulfil_purchase
from billing.orders.top_up_orders import advance_top_up
from billing.orders.top_up_payments import settle_payment
from common.currencies import is_unproven

BATCH = 50
SOONEST_CHECK = timedelta(minutes=1)
LATEST_CHECK = timedelta(hours=1)
# Stripe makes no session that can be paid for less than 30 minutes, by its own clock.
LEAST_LIFE = timedelta(minutes=31)

log = structlog.get_logger(__name__)


def check_open_purchases(*, most: int = BATCH) -> int:
    """Ask Stripe about open orders that are due, and return how many were asked about.

    Safe to run at once: each order goes to one of the sweeps. Whatever one order breaks, the others
    go on. Stops while Stripe can't be reached; the orders stay open and due.
    """
    asked = 0
    for purchase in _due_purchases()[:most]:
        if _claim(purchase):
            asked += 1
            try:
                _check(purchase)
            except PaymentProviderAway:
                break
            except Exception:
                log.warning("open_purchase_failed", purchase_id=purchase.pk, exc_info=True)
    return asked


def ask_again(purchase: Purchase) -> Purchase:
    """Read an order's payment from Stripe now, book what became of it and return the order.

    Safe to repeat. Raises PurchaseMissing if nothing was ever paid for it, PaymentProviderError.
    """
    if not purchase.is_top_up:
        return fulfil_purchase(purchase.stripe_session_id or "")
    if purchase.status in Purchase.UNPAID:
        return advance_top_up(purchase)
    return settle_payment(purchase.stripe_payment_intent_id)


def _due_purchases() -> QuerySet[Purchase]:
    return Purchase.objects.filter(
        status__in=Purchase.UNPAID, next_check_at__lte=timezone.now()
    ).order_by("next_check_at", "pk")


def _claim(purchase: Purchase) -> bool:
    """Take a due order and name the next check. False if another sweep has it."""
    now = timezone.now()
    return (
        Purchase.objects.filter(
            pk=purchase.pk,
            status__in=Purchase.UNPAID,
            next_check_at=purchase.next_check_at,
        ).update(next_check_at=now + _pause(purchase, now))
        == 1
    )


def _pause(purchase: Purchase, now: datetime) -> timedelta:
    """Return how long to wait after a check at `now`: an old order changes rarely."""
    age = now - purchase.created_at
    return min(max(age / 4, SOONEST_CHECK), LATEST_CHECK)


def _check(purchase: Purchase) -> None:
    now = timezone.now()
    is_overdue = purchase.expires_at <= now
    if purchase.is_top_up:
        advance_top_up(purchase)
    elif purchase.stripe_session_id:
        try:
            fulfil_purchase(purchase.stripe_session_id)
        except (PaymentObjectMissing, PurchaseMissing):
            # The session is in another account than our key's, so nothing will come of it here.
            if is_overdue:
                _expire(purchase)
    elif purchase.expires_at <= now + LEAST_LIFE or is_unproven(purchase.currency):
        # Nobody was given the address of its session, if there is one.
        _expire(purchase)
    else:
        open_session(purchase)


def _expire(purchase: Purchase) -> None:
    """Give an order up. Should it turn out to be paid, it will still be credited."""
    Purchase.objects.filter(pk=purchase.pk, status__in=Purchase.UNPAID).update(
        status=Purchase.Status.EXPIRED
    )
