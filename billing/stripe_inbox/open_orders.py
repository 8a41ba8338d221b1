"""The sweep over open orders: it asks Stripe, in case webhook and return page did not reach us."""

from datetime import timedelta

import structlog
from django.utils import timezone

from billing.exceptions import (
    OrderMissing,
    PaymentObjectMissing,
    PaymentProviderAway,
)
from billing.models import Order
from billing.orders.checkout import open_session
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.top_up_orders import advance_top_up
from billing.orders.top_up_payments import fulfil_top_up
from common.currencies import is_unproven
from common.due import DueRows

BATCH = 50
SOONEST_CHECK = timedelta(minutes=1)
LATEST_CHECK = timedelta(hours=1)
# Stripe refuses a session that expires within 30 minutes, by its own clock.
# https://docs.stripe.com/api/checkout/sessions/create#create_checkout_session-expires_at
LEAST_LIFE = timedelta(minutes=31)

log = structlog.get_logger(__name__)


def _pause(order: Order) -> timedelta:
    """Return how long to wait until the next check: the older an order, the less it changes."""
    age = timezone.now() - order.created_at
    return min(max(age / 4, SOONEST_CHECK), LATEST_CHECK)


# An order is due again after each check, whatever its result, so a claim needs no other end.
ORDERS = DueRows(
    Order.objects.filter(status__in=Order.UNPAID), lease=_pause, due_column="next_check_at"
)


def check_open_orders(*, most: int = BATCH) -> int:
    """Ask Stripe about open orders that are due, and return how many were asked about.

    Safe to run at once: one sweep claims each order. An error of one order does not stop the
    others. Stops while Stripe can't be reached; the orders stay open and due.
    """
    asked = 0
    for order in ORDERS.take(ORDERS.due()[:most]):
        asked += 1
        try:
            _check(order)
        except PaymentProviderAway:
            break
        except Exception:
            log.warning("open_order_failed", order_id=order.pk, exc_info=True)
    return asked


def ask_again(order: Order) -> Order:
    """Read an order's payment from Stripe now, book what became of it and return the order.

    Safe to repeat. Raises OrderMissing if it has no session or payment yet, PaymentProviderError.
    """
    if not order.is_top_up:
        return fulfil_checkout(order.stripe_session_id or "")
    if order.status in Order.UNPAID:
        return advance_top_up(order)
    return fulfil_top_up(order.stripe_payment_intent_id)


def _check(order: Order) -> None:
    now = timezone.now()
    is_overdue = order.expires_at <= now
    if order.is_top_up:
        advance_top_up(order)
    elif order.stripe_session_id:
        try:
            fulfil_checkout(order.stripe_session_id)
        except (PaymentObjectMissing, OrderMissing):
            # The session is in another account than our key's, so it can't be fulfilled here.
            if is_overdue:
                _expire(order)
    elif order.expires_at <= now + LEAST_LIFE or is_unproven(order.currency):
        # Nobody was given the URL of its session, if there is one.
        _expire(order)
    else:
        open_session(order)


def _expire(order: Order) -> None:
    """Give an order up. A late payment would still be credited."""
    Order.objects.filter(pk=order.pk, status__in=Order.UNPAID).update(status=Order.Status.EXPIRED)
