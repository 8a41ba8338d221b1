"""Fulfilment: what Stripe says of a payment becomes credits, once.

`fulfil_order` is the only function that credits an order. The webhook, the return page and
the sweep over open orders call it; any one of them alone is enough. It believes nothing that it
was told but the session's id: the session's present state is read from Stripe.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from billing.exceptions import (
    InvalidAmount,
    OrderMismatch,
    OrderMissing,
    PaymentStateMoving,
)
from billing.ledger.credits import post_credit
from billing.ledger.inbox import file_item
from billing.ledger.references import OrderCredit
from billing.ledger.wallets import get_wallet
from billing.models import LedgerEntry, Order
from billing.orders.clawback import MOST_READS, claw_back
from billing.orders.notices import notify_order
from billing.stripe_api import SESSION_ID, Checkout, parse_order_id, read_checkout

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

# Once paid, only a person takes an order out of review, and closes it.
DECIDED = (Order.Status.FULFILLED, Order.Status.REVIEW, Order.Status.CLOSED)


def fulfil_order(session_id: str) -> Order:
    """Read a Checkout Session from Stripe, book what became of it and return its order.

    Paid and matching the order: the credits are posted and the order is fulfilled, also if it was
    given up before. Paid but different: the order waits for a person and nothing is credited.
    Expired or refused: an open order is closed. Anything else changes nothing. Safe to repeat and
    to run at once. Raises OrderMissing if the session is not one of ours, PaymentProviderError
    if Stripe does not answer.
    """
    if not SESSION_ID.fullmatch(session_id):
        raise OrderMissing("There is no such order.")
    known = Order.objects.filter(stripe_session_id=session_id).first()
    for _ in range(MOST_READS):
        checkout = read_checkout(session_id)
        if known is not None and (booked := _book(known, checkout)) is not None:
            return booked
        # As in `settle_charge`: the order's revision must be older than Stripe's answer.
        known = _find_order(checkout)
        if known is None:
            _report_orphan(checkout)
            raise OrderMissing("There is no such order.")
    raise PaymentStateMoving("The payment's state keeps changing; it is looked at again later.")


def credit_order(order: Order) -> None:
    """Post the credits of a locked order and fulfil it. Raises InvalidAmount.

    The ledger knows the order by its id, so a second call would post nothing. The caller saves.
    """
    now = timezone.now()
    days = order.validity_days
    post_credit(
        get_wallet(order.user).pk,
        kind=LedgerEntry.Kind.PURCHASE,
        amount_credits=order.credits,
        reference=OrderCredit(order.public_id),
        reason=order.pack_name,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    order.status = Order.Status.FULFILLED
    order.fulfilled_at = now


@transaction.atomic(durable=True)
def _book(known: Order, checkout: Checkout) -> Order | None:
    """Bring the order in line with its session, under the order's lock.

    None if a newer state of its charge may have been booked since the session was read.
    """
    order = Order.objects.select_for_update().get(pk=known.pk)
    if order.revision != known.revision:
        return None
    if checkout.is_settled:
        _book_payment(order, checkout)
    elif order.status in Order.UNPAID and _is_own_session(order, checkout):
        _close(order, checkout)
    return order


def _find_order(checkout: Checkout) -> Order | None:
    """Return the order of this session; one whose session was never saved has its id in there."""
    is_ours = Q(stripe_session_id=checkout.session_id)
    for text in (checkout.client_reference, checkout.order_id):
        order_id = parse_order_id(text)
        is_ours |= Q(public_id=order_id) if order_id else Q()
    found = Order.objects.filter(is_ours).order_by("pk")
    # The order that we made this session for, before one that the session merely names.
    return max(found, key=lambda each: each.stripe_session_id == checkout.session_id, default=None)


def _is_own_session(order: Order, checkout: Checkout) -> bool:
    """Tell whether the order was to be paid through this very session."""
    order_id = str(order.public_id)
    return order.stripe_session_id == checkout.session_id or (
        # The process died, or the answer was lost, between creating and saving the session.
        order.stripe_session_id is None
        and checkout.client_reference == order_id
        and checkout.order_id == order_id
    )


def _book_payment(order: Order, checkout: Checkout) -> None:
    """Credit a payment that matches its order; leave any other to a person.

    So is one that matches and would fill the wallet beyond its limit.
    """
    if order.status in DECIDED:
        if _is_other_payment(order, checkout):
            _report_second_payment(order, checkout)
        elif checkout.charge:
            claw_back(order, checkout.charge)
        return
    try:
        _check_payment(order, checkout)
        credit_order(order)
    except (OrderMismatch, InvalidAmount) as refusal:
        _park(order, checkout, reason=str(refusal))
        return
    _save_payment(order, checkout)
    notify_order(order)
    # A refund may come before the fulfilment.
    if checkout.charge:
        claw_back(order, checkout.charge)


def _is_other_payment(order: Order, checkout: Checkout) -> bool:
    """Tell whether an order that was paid is paid again. What is free has no payment to name."""
    known = (order.stripe_payment_intent_id, order.stripe_session_id)
    found = (checkout.payment_intent_id, checkout.session_id)
    return known[0] != found[0] if known[0] or found[0] else known[1] != found[1]


def _check_payment(order: Order, checkout: Checkout) -> None:
    """Raise OrderMismatch unless the session sold exactly what the order agreed on.

    What was paid for it may be less by a discount and more by tax, where the session allows them.
    """
    order_id = str(order.public_id)
    is_free = checkout.allows_discount and checkout.amount_cents == 0
    expected: dict[str, tuple[object, object]] = {
        "session": (True, _is_own_session(order, checkout)),
        "mode": ("payment", checkout.mode),
        "livemode": (settings.STRIPE_LIVE_MODE, checkout.is_live),
        "reference": (order_id, checkout.client_reference),
        "metadata": (order_id, checkout.order_id),
        "currency": (order.currency, checkout.currency),
        "subtotal": (order.amount_cents, checkout.subtotal_cents),
        "discount": (True, checkout.allows_discount or not checkout.discount_cents),
        "tax": (True, checkout.adds_tax or not checkout.tax_cents),
        "total": (True, _is_sum(checkout)),
        "payment status": (
            "no_payment_required" if is_free else "paid",
            checkout.payment_status,
        ),
    }
    wrong = [
        f"{name} is {found!r}, expected {wanted!r}"
        for name, (wanted, found) in expected.items()
        if wanted != found
    ]
    if wrong:
        raise OrderMismatch("; ".join(wrong))


def _is_sum(checkout: Checkout) -> bool:
    """Tell whether total and charge follow from what was sold. Tax may be within the price."""
    if checkout.subtotal_cents is None or checkout.amount_cents is None:
        return False
    price = checkout.subtotal_cents - checkout.discount_cents
    if checkout.amount_cents not in (price, price + checkout.tax_cents):
        return False
    charge = checkout.charge
    return (
        charge is None
        or charge.currency != checkout.currency
        or charge.amount_cents == checkout.amount_cents
    )


def _park(order: Order, checkout: Checkout, *, reason: str) -> None:
    """Leave a payment that differs from its order to a person."""
    order.status = Order.Status.REVIEW
    order.review_reason = reason[:200]
    _save_payment(order, checkout)
    file_item(
        kind="order_mismatch",
        reference=str(order.public_id),
        summary=f"A payment could not be credited to its order: {reason}",
        detail=_detail(order, checkout),
    )


def _close(order: Order, checkout: Checkout) -> None:
    """Close an order that can't be paid any more. A late payment would still be credited."""
    if checkout.status == "expired":
        order.status = Order.Status.EXPIRED
    elif checkout.is_failed:
        order.status = Order.Status.FAILED
    elif checkout.is_pending:
        order.status = Order.Status.PENDING
    _save_payment(order, checkout)


def _save_payment(order: Order, checkout: Checkout) -> None:
    if order.stripe_session_id is None:
        order.stripe_session_id = checkout.session_id
        order.stripe_session_url = checkout.url
    order.stripe_payment_intent_id = checkout.payment_intent_id
    order.invoice_url = checkout.invoice_url
    if checkout.is_settled:
        order.paid_cents = checkout.amount_cents
        order.discount_cents = checkout.discount_cents
        order.tax_cents = checkout.tax_cents
    if checkout.charge and checkout.charge.is_paid:
        order.stripe_charge_id = checkout.charge.charge_id
        order.receipt_url = checkout.charge.receipt_url
    order.save(update_fields=PAYMENT_FIELDS)


def _report_second_payment(order: Order, checkout: Checkout) -> None:
    file_item(
        kind="order_paid_twice",
        reference=checkout.session_id,
        summary="An order was paid again through another session; refund one of the payments.",
        detail=_detail(order, checkout),
    )


def _report_orphan(checkout: Checkout) -> None:
    """Report money that came in for an order that we don't have, such as after a restore.

    A session without an order's id was made by something else in the same Stripe account.
    """
    if checkout.is_settled and checkout.order_id:
        file_item(
            kind="payment_without_order",
            reference=checkout.session_id,
            summary=f"A payment names the order {checkout.order_id[:60]}, which does not exist.",
            detail=_detail(None, checkout),
        )


def _detail(order: Order | None, checkout: Checkout) -> dict[str, str | int | None]:
    return {
        "order_id": str(order.public_id) if order else checkout.order_id,
        "session_id": checkout.session_id,
        "payment_intent_id": checkout.payment_intent_id,
        "paid_cents": checkout.amount_cents,
        "paid_currency": checkout.currency,
        "ordered_cents": order.amount_cents if order else None,
        "ordered_currency": order.currency if order else None,
    }
