"""Fulfilment: an order that is paid at Stripe becomes credits, once.

`fulfil` is the only function that credits an order without a person. The webhook, the return page,
the direct answer and the sweeps call it, through `fulfil_checkout` and `fulfil_top_up`; any one of
them alone is enough. It takes only an id from its caller, and reads the payment's present state
from Stripe. What differs by the channel of the payment is in its `PaymentChannel`.
"""

import re
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.teams.events import Action, note
from billing.exceptions import InvalidAmount, OrderMismatch, OrderMissing, RefundRefused
from billing.ledger.credits import post_credit
from billing.ledger.inbox import file_item
from billing.ledger.lot_money import Paid
from billing.ledger.references import OrderCredit
from billing.ledger.wallets import get_wallet
from billing.models import LedgerEntry, Order
from billing.orders.clawback import claw_back
from billing.orders.notices import notify_order
from billing.orders.refunds import return_payment
from billing.orders.revenue import book_sale
from billing.orders.revisions import book_answer
from billing.stripe_api.payments import Payment, PaymentState

PAYMENT_FIELDS = [
    "status",
    "review_reason",
    "fulfilled_at",
    "stripe_session_id",
    "stripe_session_url",
    "stripe_payment_intent_id",
    "stripe_charge_id",
    "receipt_url",
    "invoice_url",
    "paid_cents",
    "discount_cents",
    "tax_cents",
]

# Orders that were paid. Only a person takes one out of review, or closes it.
DECIDED = (Order.Status.FULFILLED, Order.Status.REVIEW, Order.Status.CLOSED)

# The status of an unpaid order by the state of its payment. A late payment is still credited.
UNPAID_STATUS = {
    PaymentState.PENDING: Order.Status.PENDING,
    PaymentState.FAILED: Order.Status.FAILED,
    PaymentState.EXPIRED: Order.Status.EXPIRED,
}

AnyPayment = TypeVar("AnyPayment", bound=Payment)
# By name: what was agreed, and what Stripe says.
Terms = dict[str, tuple[object, object]]


class PaymentChannel(Generic[AnyPayment]):
    """One way in which orders are paid: how its payments are read, checked and followed up.

    `after_credit`, `after_failure` and `without_credits` are called in the transaction that books
    the payment, under the lock of its order if there is one.
    """

    # What its payments are called in the inbox.
    noun: str
    id_pattern: re.Pattern[str]

    def read(self, stripe_id: str) -> AnyPayment:
        """Read a payment's present state from Stripe."""
        raise NotImplementedError

    def find_known(self, stripe_id: str) -> Order | None:
        """Return the order that has this payment's id saved; None if no order has."""
        raise NotImplementedError

    def find_order(self, payment: AnyPayment) -> Order | None:
        """Return the order that a payment belongs to or names."""
        raise NotImplementedError

    def is_ours(self, payment: AnyPayment) -> bool:
        """Tell whether we asked for a payment: others may sell through the same Stripe account."""
        raise NotImplementedError

    def terms(self, order: Order, payment: AnyPayment) -> Terms:
        """Return the terms to compare for this channel, beside those of every channel."""
        raise NotImplementedError

    def is_own(self, order: Order, payment: AnyPayment) -> bool:
        """Tell whether the end of this payment ends its unpaid order."""
        return True

    def after_credit(self, order: Order) -> None:
        """Follow up on an order that was credited."""

    def after_failure(self, order: Order, payment: AnyPayment) -> None:
        """Follow up on an order that was failed because its payment was."""

    def without_credits(self, order: Order | None, payment: AnyPayment) -> None:
        """Follow up on a payment that brought no credits. No order: it pays none of ours."""

    def after_commit(self, order: Order, payment: AnyPayment) -> None:
        """Follow up at Stripe, once all is booked."""


def fulfil(channel: PaymentChannel[AnyPayment], stripe_id: str) -> Order:
    """Read a payment from Stripe, book what became of it and return its order.

    Paid and matching the order: the credits are posted and the order is fulfilled, also if it had
    failed or expired before. Paid but different: the order waits for a person and nothing is
    credited. Pending, failed or expired: an unpaid order takes that status. Safe to repeat and to
    run at once. Raises OrderMissing if it pays no order of ours, PaymentProviderError if Stripe
    does not answer.
    """
    if not channel.id_pattern.fullmatch(stripe_id):
        raise OrderMissing("There is no such order.")
    order, payment = book_answer(
        channel.find_known(stripe_id),
        read=partial(channel.read, stripe_id),
        find=channel.find_order,
        book=partial(_book, channel),
    )
    if order is None:
        _report_orphan(channel, payment)
        raise OrderMissing("There is no such order.")
    channel.after_commit(order, payment)
    return order


def credit_order(order: Order, paid: Paid) -> None:
    """Post the credits of a locked order that were `paid` so, and mark it as fulfilled.

    The entry's reference is the order's id, so a second call posts nothing. The caller saves the
    order. Raises InvalidAmount.
    """
    now = timezone.now()
    days = order.validity_days
    post_credit(
        get_wallet(order.team).pk,
        kind=LedgerEntry.Kind.PURCHASE,
        amount_credits=order.credits,
        reference=OrderCredit(order.public_id),
        reason=order.pack_name,
        expires_at=None if days is None else now + timedelta(days=days),
        paid=paid,
    )
    book_sale(order, paid)
    order.status = Order.Status.FULFILLED
    order.fulfilled_at = now


def _book(channel: PaymentChannel[AnyPayment], order: Order, payment: AnyPayment) -> None:
    """Bring a locked order in line with its payment."""
    if payment.is_paid:
        _book_paid(channel, order, payment)
    elif order.status in Order.UNPAID and channel.is_own(order, payment):
        _book_unpaid(channel, order, payment)


def _book_paid(channel: PaymentChannel[AnyPayment], order: Order, payment: AnyPayment) -> None:
    """Credit a payment that matches its order.

    A person decides about one that differs, or that would fill the wallet beyond its limit.
    """
    if order.status in DECIDED:
        if _is_other_payment(order, payment):
            _report_second_payment(channel, order, payment)
        elif payment.charge:
            claw_back(order, payment.charge)
        return
    try:
        _check_terms(channel, order, payment)
        if order.team.closed_at is not None:
            raise OrderMismatch("its account was deleted; it is refunded")
        _note_payment(order, payment)
        credit_order(order, paid_for(order))
    except (OrderMismatch, InvalidAmount) as refusal:
        _park(channel, order, payment, reason=str(refusal))
        return
    _save_payment(order, payment)
    note(
        order.team,
        Action.BOUGHT,
        actor=order.buyer,
        subject=order.pack_name,
        after={
            "credits": order.credits,
            "paid_cents": order.charged_cents,
            "currency": order.currency,
        },
    )
    notify_order(order)
    channel.after_credit(order)
    # A refund may come before the fulfilment.
    if payment.charge:
        claw_back(order, payment.charge)


def _book_unpaid(channel: PaymentChannel[AnyPayment], order: Order, payment: AnyPayment) -> None:
    order.status = UNPAID_STATUS.get(payment.state, order.status)
    _save_payment(order, payment)
    if payment.state is PaymentState.FAILED:
        channel.after_failure(order, payment)


def _is_other_payment(order: Order, payment: Payment) -> bool:
    """Tell whether this is a second payment of an order. Free ones are compared by session."""
    known = (order.stripe_payment_intent_id, order.stripe_session_id)
    found = (payment.payment_intent_id, payment.session_id)
    return known[0] != found[0] if known[0] or found[0] else known[1] != found[1]


def _check_terms(channel: PaymentChannel[AnyPayment], order: Order, payment: AnyPayment) -> None:
    """Raise OrderMismatch unless the payment is exactly what the order agreed on."""
    expected: Terms = {
        "livemode": (settings.STRIPE_LIVE_MODE, payment.is_live),
        "metadata": (str(order.public_id), payment.order_id),
        "currency": (order.currency, payment.currency),
        **channel.terms(order, payment),
    }
    wrong = [
        f"{name} is {found!r}, expected {wanted!r}"
        for name, (wanted, found) in expected.items()
        if wanted != found
    ]
    if wrong:
        raise OrderMismatch("; ".join(wrong))


def paid_for(order: Order) -> Paid:
    """Return what of a paid order's payment is ours, if it was paid in the order's currency."""
    return Paid(order.net_micros, order.currency)


def _save_payment(order: Order, payment: Payment) -> None:
    _note_payment(order, payment)
    order.save(update_fields=PAYMENT_FIELDS)


def _note_payment(order: Order, payment: Payment) -> None:
    if order.stripe_session_id is None and payment.session_id:
        order.stripe_session_id = payment.session_id
        order.stripe_session_url = payment.session_url
    order.stripe_payment_intent_id = payment.payment_intent_id
    order.invoice_url = payment.invoice_url
    if payment.is_paid:
        order.paid_cents = payment.paid_cents
        order.discount_cents = payment.discount_cents
        order.tax_cents = payment.tax_cents
    if payment.charge and payment.charge.is_paid:
        order.stripe_charge_id = payment.charge.charge_id
        order.receipt_url = payment.charge.receipt_url


def _park(
    channel: PaymentChannel[AnyPayment], order: Order, payment: AnyPayment, *, reason: str
) -> None:
    """Put an order in review, for a person to decide about its payment."""
    order.status = Order.Status.REVIEW
    order.review_reason = reason[:200]
    _save_payment(order, payment)
    channel.without_credits(order, payment)
    file_item(
        kind="order_mismatch",
        reference=str(order.public_id),
        summary=f"A {channel.noun} could not be credited to its order: {reason}",
        detail=_detail(order, payment),
    )
    if order.team.closed_at is not None and order.paid_cents:
        # What can't be refunded by itself stays for the person who finds the item.
        with suppress(RefundRefused):
            return_payment(order)


def _report_second_payment(
    channel: PaymentChannel[AnyPayment], order: Order, payment: AnyPayment
) -> None:
    _, is_new = file_item(
        kind="order_paid_twice",
        reference=payment.stripe_id,
        summary=f"A {channel.noun} is for an order that was paid before; refund one of the two.",
        detail=_detail(order, payment),
    )
    # A repeated report must not undo what the customer decided in the meantime.
    if is_new:
        channel.without_credits(order, payment)


@transaction.atomic(durable=True)
def _report_orphan(channel: PaymentChannel[AnyPayment], payment: AnyPayment) -> None:
    """Report a payment of ours whose order we don't have, such as after a restore."""
    if not payment.is_paid or not channel.is_ours(payment):
        return
    _, is_new = file_item(
        kind="payment_without_order",
        reference=payment.stripe_id,
        summary=f"A {channel.noun} names the order {payment.order_id[:60]}, which does not exist.",
        detail=_detail(None, payment),
    )
    if is_new:
        channel.without_credits(None, payment)


def _detail(order: Order | None, payment: Payment) -> dict[str, Any]:
    return {
        "order_id": str(order.public_id) if order else payment.order_id,
        "session_id": payment.session_id,
        "payment_intent_id": payment.payment_intent_id,
        "paid_cents": payment.paid_cents,
        "paid_currency": payment.currency,
        "ordered_cents": order.amount_cents if order else None,
        "ordered_currency": order.currency if order else None,
    }
