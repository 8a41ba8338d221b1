"""Refunds that we ask for: the credits first, then the money.

A refund is written down first. The order's clawback target counts it at once, so its credits are
debited before Stripe hears of it. When the ledger has booked the debit, the sweep asks Stripe, with
the refund's `public_id` as idempotency key. A refused refund stops counting, which gives its
credits back. After a lost answer the refund is found by that id in Stripe's metadata.
"""

from datetime import timedelta
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.teams.events import Action, note
from billing.exceptions import (
    MissingReason,
    PaymentProviderAway,
    PaymentProviderError,
    PaymentProviderRefusal,
    RefundRefused,
)
from billing.ledger.inbox import file_item
from billing.ledger.wallets import get_wallet
from billing.models import Order, Refund, Wallet
from billing.orders.clawback import book_charge, move_to_target
from billing.orders.refund_offers import Offer, offer_unused
from billing.stripe_api import create_refund
from common.currencies import smallest_step
from common.due import RetriedRows
from common.locks import lock_names

# Staff may refund the payment of these orders, also one that was never credited.
PAID = (Order.Status.FULFILLED, Order.Status.REVIEW, Order.Status.CLOSED)
REFUNDS = RetriedRows(
    Refund.objects.filter(status=Refund.Status.OPEN),
    lease=timedelta(minutes=2),
    first_pause=timedelta(seconds=5),
    longest_pause=timedelta(hours=1),
    alarming_attempts=8,
)
BATCH = 50
REFUND_WINDOW = timedelta(days=30)

log = structlog.get_logger(__name__)


def refund_amount(
    order: Order,
    *,
    amount_cents: int,
    actor: User,
    reason: str,
    kind: str = Refund.Reason.REQUESTED,
    key: UUID | None = None,
) -> Refund:
    """Refund this much of an order's payment. Credits of that share that were spent become debt.

    Safe to repeat with the same `key`. Raises MissingReason, RefundRefused.
    """
    if not reason.strip():
        raise MissingReason("A reason is required: it is what the record will say.")
    return _ask(
        order.pk,
        Refund(
            public_id=key or uuid4(),
            amount_cents=amount_cents,
            kind=kind,
            reason=reason.strip()[:200],
            actor=actor,
        ),
    )


def refund_unused(
    order: Order,
    *,
    actor: User | None,
    reason: str,
    key: UUID | None = None,
    by: User | None = None,
) -> Refund:
    """Refund the unused part of an order; refused later if it is spent before it can be taken.

    `actor` is a member of staff; without one it is a customer's wish, and `by` who wished it. Safe
    to repeat with the same `key`. Raises RefundRefused.
    """
    public_id = key or uuid4()
    # Worked out before the refund of this key is looked for: it takes its credits when it is
    # written down.
    offer = offer_unused(order)
    asked = Refund.objects.filter(public_id=public_id, order=order).first()
    if asked is not None:
        return asked
    if offer is None:
        raise RefundRefused("Nothing of this order is left to be refunded.")
    return _ask(
        order.pk,
        Refund(
            public_id=public_id,
            amount_cents=offer.amount_cents,
            is_unused_part=True,
            reason=reason.strip()[:200],
            actor=actor,
        ),
        by=by,
    )


def offer_to_customer(order: Order) -> Offer | None:
    """Return what the settings let a customer ask back without staff; None if nothing."""
    days = settings.CUSTOMER_REFUND_DAYS
    wallet = get_wallet(order.team)
    if not days or order.fulfilled_at is None:
        return None
    is_late = timezone.now() > order.fulfilled_at + timedelta(days=days)
    if is_late or wallet.state != Wallet.State.ACTIVE or wallet.debt_credits:
        return None
    if _has_had_enough(order):
        return None
    return None if _why_not(order) else offer_unused(order)


def refund_to_customer(order: Order, *, key: UUID, by: User | None = None) -> Refund:
    """Refund the unused part at the customer's wish. Safe to repeat with the same `key`.

    Raises RefundRefused if the settings don't offer that, or no longer.
    """
    offer = offer_to_customer(order)
    asked = Refund.objects.filter(public_id=key, order=order).first()
    if asked is not None:
        return asked
    if offer is None:
        raise RefundRefused("This order can't be refunded here. Please write to us.")
    return refund_unused(order, actor=None, reason="Asked for by the customer", key=key, by=by)


def return_payment(order: Order) -> Refund:
    """Refund all of a payment that came after its account was deleted. Safe to repeat.

    Call it with the order locked. Raises RefundRefused.
    """
    return _ask(
        order.pk,
        Refund(
            public_id=uuid5(NAMESPACE_URL, f"left:{order.public_id}"),
            amount_cents=order.charged_cents - order.returned_cents,
            reason="Paid after the account was deleted",
        ),
        is_limited=False,
    )


def advance_refunds(*, most: int = BATCH) -> int:
    """Ask Stripe for the refunds whose credits are taken, and return how many were tried.

    Safe to run at once: one sweep claims each refund. A refund that fails is tried again, later
    each time. Stops while Stripe can't be reached: the others stay due.
    """
    tried = 0
    for refund in REFUNDS.take(_due_refunds()[:most]):
        tried += 1
        if isinstance(_advance(refund), PaymentProviderAway):
            break
    return tried


@transaction.atomic
def _ask(
    order_id: int, refund: Refund, *, is_limited: bool = True, by: User | None = None
) -> Refund:
    """Write the refund down and take its credits. Returns the earlier refund of the same key."""
    order = Order.objects.select_for_update().get(pk=order_id)
    asked = Refund.objects.filter(public_id=refund.public_id).first()
    if asked is not None:
        return asked
    is_wish = refund.actor_id is None and is_limited
    if is_wish:
        # The order's lock does not cover the customer's other orders.
        lock_names(f"refunds of team {order.team_id}")
        if _has_had_enough(order):
            raise RefundRefused("Too many orders were returned lately. Please write to us.")
    problem = _why_not(order)
    if problem:
        raise RefundRefused(problem)
    rest = order.charged_cents - order.returned_cents
    if not 0 < refund.amount_cents <= rest:
        raise RefundRefused(f"Of this payment {rest} can still be refunded, in its smallest unit.")
    step = smallest_step(order.currency)
    if refund.amount_cents < rest and refund.amount_cents % step:
        raise RefundRefused(f"Amounts of this currency are divisible by {step}.")
    refund.order = order
    refund.save(force_insert=True)
    refund.debit = move_to_target(order)
    refund.save(update_fields=["debit"])
    if is_wish:
        note(
            order.team,
            Action.REFUNDED,
            actor=by,
            subject=order.pack_name,
            after={"amount_cents": refund.amount_cents, "currency": order.currency},
        )
    return refund


def _has_had_enough(order: Order) -> bool:
    """Tell whether its customer got as many refunds without staff as the settings let them have."""
    lately = Refund.objects.filter(
        order__team=order.team_id, actor=None, created_at__gt=timezone.now() - REFUND_WINDOW
    ).exclude(status=Refund.Status.REFUSED)
    return lately.count() >= settings.CUSTOMER_REFUNDS_PER_MONTH


def _why_not(order: Order) -> str:
    """Return why no refund can be asked for now; empty if one can."""
    if order.status not in PAID or not order.stripe_payment_intent_id:
        return "This order was not paid."
    if not order.stripe_charge_id:
        return "Its charge is not known yet: ask Stripe again first."
    if any(dispute.is_open for dispute in order.disputes.all()):
        return "The payment is disputed: the money goes back that way, or not at all."
    if order.refunds.filter(status=Refund.Status.OPEN).exists():
        return "A refund of this order is under way."
    return ""


def _due_refunds() -> QuerySet[Refund]:
    # Stripe is not asked before the ledger has booked the debit.
    is_taken = Q(debit=None) | Q(debit__booked_at__isnull=False)
    return REFUNDS.due().filter(is_taken).select_related("order", "debit")


def _advance(refund: Refund) -> Exception | None:
    """Ask Stripe for one refund and book the answer; note a failure, and return it."""
    try:
        if refund.is_unused_part and _is_short(refund):
            text = "The credits were spent before they could be taken back."
            # Nobody who has left can ask again.
            is_unheard = refund.actor_id is not None or refund.order.team.closed_at is not None
            _refuse(refund, text, needs_person=is_unheard)
        elif not (refund.attempts > 1 and _is_known(refund)):
            _send(refund)
    except PaymentProviderError as error:
        _postpone(refund, error)
        return error
    return None


def _is_short(refund: Refund) -> bool:
    debit = refund.debit
    return debit is not None and (debit.taken_credits or 0) < debit.amount_credits


def _is_known(refund: Refund) -> bool:
    """Tell whether an earlier attempt, whose answer was lost, has reached Stripe."""
    _book_charge(refund)
    refund.refresh_from_db(fields=["status"])
    return refund.status != Refund.Status.OPEN


def _send(refund: Refund) -> None:
    try:
        create_refund(
            refund.order.stripe_payment_intent_id,
            amount_cents=refund.amount_cents,
            reason=refund.kind,
            order_id=str(refund.order.public_id),
            refund_id=str(refund.public_id),
        )
    except PaymentProviderRefusal as refusal:
        # Stripe's own words, for staff: they name the problem and the id of the request.
        _refuse(refund, str(refusal.__cause__ or refusal), needs_person=True)
        return
    _book_charge(refund)


def _book_charge(refund: Refund) -> None:
    """Book the payment's present state at Stripe, this refund included."""
    book_charge(refund.order.stripe_charge_id)


@transaction.atomic(durable=True)
def _refuse(refund: Refund, outcome: str, *, needs_person: bool) -> None:
    """End a refund that was not given, and give its credits back; report it if need be."""
    order = Order.objects.select_for_update().get(pk=refund.order_id)
    ended = Refund.objects.filter(pk=refund.pk, status=Refund.Status.OPEN).update(
        status=Refund.Status.REFUSED, outcome=outcome[:200]
    )
    if ended:
        move_to_target(order)
        log.warning("refund_refused", refund_id=str(refund.public_id), outcome=outcome)
        if needs_person:
            file_item(
                kind="refund_refused",
                reference=str(refund.public_id),
                summary=f"A refund to {order.team} was not given: {outcome}",
                detail={"order_id": str(order.public_id)},
            )


def _postpone(refund: Refund, error: Exception) -> None:
    log.warning("refund_postponed", refund_id=str(refund.public_id), attempts=refund.attempts)
    REFUNDS.postpone(refund, outcome=str(error)[:200])
    if REFUNDS.is_alarming(refund):
        file_item(
            kind="refund_failing",
            reference=str(refund.public_id),
            summary=f"A refund to {refund.order.team} can't be asked for: {error}",
            detail={"order_id": str(refund.order.public_id)},
        )
