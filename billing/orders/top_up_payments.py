"""What became of a top-up's payment: paid is credited once, refused switches the top-up off.

`settle_payment` is to a top-up what `fulfil_order` is to an order of the Checkout page. The
direct answer, the webhook and the sweep call it, and any one of them alone is enough. It believes
nothing that it was told but the PaymentIntent's id.
"""

import re
from urllib.parse import urlencode

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.urls import reverse

from billing.exceptions import (
    InvalidAmount,
    OrderMismatch,
    OrderMissing,
    PaymentProviderError,
    PaymentStateMoving,
)
from billing.ledger.inbox import file_item
from billing.models import AutoTopUp, Order, TopUpPayment
from billing.orders.clawback import MOST_READS, claw_back
from billing.orders.fulfilment import DECIDED, PAYMENT_FIELDS, credit_order
from billing.orders.notices import (
    notify_order,
    notify_top_up_action,
    notify_top_up_declined,
    notify_top_up_succeeded,
)
from billing.stripe_api import parse_order_id
from billing.stripe_api.payments import Payment, cancel_payment, read_payment
from billing.top_ups.switch import (
    OffReason,
    switch_off,
    switch_off_for_orphan,
    switch_off_for_review,
)

INTENT_ID = re.compile(r"pi_[A-Za-z0-9_]{1,110}")
# Decline codes that may be told. Of the others Stripe advises to say nothing more than declined.
# https://docs.stripe.com/declines/codes
DECLINE_WORDS = {
    "insufficient_funds": "not enough money on it",
    "expired_card": "it has expired",
    "card_velocity_exceeded": "its limit is reached",
    "withdrawal_count_limit_exceeded": "its limit is reached",
}

log = structlog.get_logger(__name__)


def settle_payment(payment_intent_id: str) -> Order:
    """Read a top-up's PaymentIntent from Stripe, book what became of it and return its order.

    Paid and matching: the credits are posted, also if the order was given up before. Paid but
    different: it waits for a person. Refused: the order is failed. Whatever brings no credits
    switches the top-up off and tells its owner, in the transaction that books it. Safe to repeat
    and to run at once. Raises OrderMissing if it pays no top-up of ours, PaymentProviderError.
    """
    if not INTENT_ID.fullmatch(payment_intent_id):
        raise OrderMissing("There is no such top-up.")
    known = _top_ups().filter(stripe_payment_intent_id=payment_intent_id).first()
    for _ in range(MOST_READS):
        payment = read_payment(payment_intent_id)
        if known is not None and (booked := _book(known, payment)) is not None:
            _put_away(booked, payment)
            return booked
        # As in `settle_charge`: the order's revision must be older than Stripe's answer.
        known = _find_order(payment)
        if known is None:
            _report_orphan(payment)
            raise OrderMissing("There is no such top-up.")
    raise PaymentStateMoving("The payment's state keeps changing; it is looked at again later.")


def fail_top_up(order: Order, *, reason: AutoTopUp.OffReason, decline_code: str) -> None:
    """Close a locked, open order as not paid, and switch the top-up off if it still uses the card.

    The caller's transaction holds the mail, too.
    """
    order.status = Order.Status.FAILED
    order.save(update_fields=PAYMENT_FIELDS)
    asked = TopUpPayment.objects.get(order=order)
    asked.decline_code = decline_code[:60]
    asked.save(update_fields=["decline_code"])
    top_up = AutoTopUp.objects.get(wallet__user_id=order.user_id)
    if switch_off(top_up, reason, detail=decline_code, method_id=asked.stripe_payment_method_id):
        _notify_failure(order, reason, decline_code)


def _top_ups() -> QuerySet[Order]:
    return Order.objects.filter(channel=Order.Channel.TOP_UP)


def _find_order(payment: Payment) -> Order | None:
    order_id = parse_order_id(payment.order_id)
    return _top_ups().filter(public_id=order_id).first() if order_id else None


@transaction.atomic(durable=True)
def _book(known: Order, payment: Payment) -> Order | None:
    """Bring the order in line with its payment, under the order's lock.

    None if a newer state of its charge may have been booked since the payment was read.
    """
    order = Order.objects.select_for_update().get(pk=known.pk)
    if order.revision != known.revision:
        return None
    if payment.is_paid:
        _book_payment(order, payment)
    elif order.status in Order.UNPAID:
        _book_unpaid(order, payment)
    return order


def _book_payment(order: Order, payment: Payment) -> None:
    if order.status in DECIDED:
        if order.stripe_payment_intent_id != payment.payment_intent_id:
            _report_second_payment(order, payment)
        elif payment.charge:
            claw_back(order, payment.charge)
        return
    try:
        _check_payment(order, payment)
        credit_order(order)
    except (OrderMismatch, InvalidAmount) as refusal:
        _park(order, payment, reason=str(refusal))
        return
    _save_payment(order, payment)
    notify_order(order)
    notify_top_up_succeeded(order)
    # A refund may come before the fulfilment.
    if payment.charge:
        claw_back(order, payment.charge)


def _book_unpaid(order: Order, payment: Payment) -> None:
    order.stripe_payment_intent_id = payment.payment_intent_id
    if payment.is_failed:
        reason = OffReason.DECLINED
        if payment.needs_authentication:
            reason = OffReason.AUTHENTICATION
        code = payment.decline_code or payment.error_code or payment.status
        fail_top_up(order, reason=reason, decline_code=code)
        return
    if payment.is_pending:
        order.status = Order.Status.PENDING
    order.save(update_fields=PAYMENT_FIELDS)


def _check_payment(order: Order, payment: Payment) -> None:
    """Raise OrderMismatch unless exactly the order was paid, by whom we asked."""
    charge = payment.charge
    expected: dict[str, tuple[object, object]] = {
        "livemode": (settings.STRIPE_LIVE_MODE, payment.is_live),
        "metadata": (str(order.public_id), payment.order_id),
        "channel": (order.channel, payment.channel),
        "customer": (order.top_up_payment.stripe_customer_id, payment.customer_id),
        "currency": (order.currency, payment.currency),
        "amount": (order.amount_cents, payment.amount_cents),
        "received": (order.amount_cents, payment.received_cents),
        "charge": (order.amount_cents, charge.amount_cents if charge else None),
    }
    wrong = [
        f"{name} is {found!r}, expected {wanted!r}"
        for name, (wanted, found) in expected.items()
        if wanted != found
    ]
    if wrong:
        raise OrderMismatch("; ".join(wrong))


def _park(order: Order, payment: Payment, *, reason: str) -> None:
    """Leave a payment that differs from its order to a person, and charge nothing meanwhile."""
    order.status = Order.Status.REVIEW
    order.review_reason = reason[:200]
    _save_payment(order, payment)
    switch_off_for_review(order)
    file_item(
        kind="order_mismatch",
        reference=str(order.public_id),
        summary=f"A top-up's payment could not be credited to its order: {reason}",
        detail=_detail(payment),
    )


def _save_payment(order: Order, payment: Payment) -> None:
    order.stripe_payment_intent_id = payment.payment_intent_id
    order.paid_cents = payment.received_cents
    if payment.charge and payment.charge.is_paid:
        order.stripe_charge_id = payment.charge.charge_id
        order.receipt_url = payment.charge.receipt_url
    order.save(update_fields=PAYMENT_FIELDS)


def _put_away(order: Order, payment: Payment) -> None:
    """Cancel what was refused, so that nobody can pay it later. Nobody knows its secret anyway."""
    is_refused = payment.is_failed and payment.status != "canceled"
    if not is_refused or order.status != Order.Status.FAILED:
        return
    try:
        cancel_payment(payment.payment_intent_id)
    except PaymentProviderError:
        log.warning("payment_not_cancelled", payment_intent_id=payment.payment_intent_id)


def _notify_failure(order: Order, reason: AutoTopUp.OffReason, decline_code: str) -> None:
    # Our own page, which leads to Checkout: a session of Stripe's would be gone within a day.
    pack = order.pack
    path = reverse("checkout", args=[pack.slug]) if pack else reverse("packs")
    url = f"{settings.SITE_URL}{path}?{urlencode({'currency': order.currency})}"
    if reason == OffReason.AUTHENTICATION:
        notify_top_up_action(order, checkout_url=url)
    else:
        words = DECLINE_WORDS.get(decline_code, "")
        notify_top_up_declined(order, reason=words, checkout_url=url)


def _report_second_payment(order: Order, payment: Payment) -> None:
    _, is_new = file_item(
        kind="order_paid_twice",
        reference=payment.payment_intent_id,
        summary="A top-up was paid again; refund one of the payments.",
        detail=_detail(payment) | {"order_id": str(order.public_id)},
    )
    # Heard of again, it must not undo that the customer switched it on again.
    if is_new:
        switch_off_for_review(order)


@transaction.atomic(durable=True)
def _report_orphan(payment: Payment) -> None:
    """Report money of a top-up that we don't have, such as after a restore."""
    if not payment.is_paid or payment.channel != Order.Channel.TOP_UP:
        return
    _, is_new = file_item(
        kind="payment_without_order",
        reference=payment.payment_intent_id,
        summary=f"A top-up names the order {payment.order_id[:60]}, which does not exist.",
        detail=_detail(payment),
    )
    if is_new:
        switch_off_for_orphan(payment.customer_id, payment.payment_intent_id)


def _detail(payment: Payment) -> dict[str, str | int]:
    return {
        "order_id": payment.order_id,
        "payment_intent_id": payment.payment_intent_id,
        "paid_cents": payment.received_cents,
        "paid_currency": payment.currency,
    }
