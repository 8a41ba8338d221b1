"""Clawback: when a part of a payment goes back, the same part of its credits is taken back.

Per order, `target = min(credits, floor(credits × (refunded + disputed) / paid))`. The credits
taken back follow the target: up by a clawback; down by a reinstatement, when a refund failed or a
dispute was won. So the sum is exact, also after refunds in thirds that are seen in any order, twice
or late. Credits spent in the meantime become the wallet's debt; credits that expired do not, and
expire again when their payment stands again: nobody lost them by that.

A refund that we ask for counts from the moment in which it is written down.

Because the target may fall, `revisions.py` keeps an older answer of Stripe's from being booked over
a newer one.
"""

from datetime import timedelta
from functools import partial
from typing import Any

from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from billing.ledger.credits import post_credit
from billing.ledger.debits import ask_debit
from billing.ledger.inbox import file_item
from billing.ledger.lot_money import Paid, part_of
from billing.ledger.references import LapsedLot, OrderCredit, OrderStep, Revival
from billing.ledger.wallets import get_wallet
from billing.models import Debit, LedgerEntry, Lot, Order, Refund, Wallet
from billing.orders.disputes import record_disputes
from billing.orders.notices import notify_refund
from billing.orders.revenue import book_returns
from billing.orders.revisions import book_answer
from billing.stripe_api import Charge, parse_order_id, read_charge
from billing.top_ups.switch import switch_off_for_return

# Reinstated credits can be used for at least this long, even if their lot would expire earlier.
LEAST_VALIDITY = timedelta(days=14)
# https://docs.stripe.com/api/refunds/object#refund_object-status
FAILURES = ("failed", "canceled")


def book_charge(charge_id: str) -> Order | None:
    """Bring an order in line with Stripe's present state of its charge. None if it isn't ours.

    Refunds, failed refunds, disputes and their ends all come here. Safe to repeat and to run at
    once. For an order that is not fulfilled yet the figures are noted, and its fulfilment takes
    them into account. Raises PaymentProviderError, such as PaymentStateMoving.
    """
    order, _ = book_answer(
        Order.objects.filter(stripe_charge_id=charge_id).first(),
        read=partial(read_charge, charge_id),
        find=_find_order,
        book=claw_back,
    )
    return order


def claw_back(order: Order, charge: Charge) -> None:
    """Book how much of a locked order's payment went back, by its charge. Safe to repeat."""
    refunded_before = order.refunded_cents
    record_disputes(order, charge.disputes)
    if is_payment_of(order, charge):
        _record_refunds(order, charge)
        order.stripe_charge_id = charge.charge_id
        order.refunded_cents = in_money_of(order, charge, charge.refunded_cents)
        order.disputed_cents = in_money_of(order, charge, charge.disputed_cents)
    elif charge.refunds or charge.disputes:
        _report_other_payment(order, charge)
    order.revision += 1
    move_to_target(order)
    # After the move, because the mail says how many credits were taken back.
    if order.refunded_cents > refunded_before:
        notify_refund(order)


def move_to_target(order: Order) -> Debit | None:
    """Take back or reinstate credits until a locked order is at its target.

    Saves its figures. Returns the debit if credits are taken.
    """
    debit = None
    if order.status == Order.Status.FULFILLED:
        missing = target_credits(order) - order.taken_back_credits
        if missing > 0:
            debit = _take(order, missing)
        elif missing < 0:
            _reinstate(order, -missing)
        book_returns(order)
    order.save(
        update_fields=[
            "clawed_back_credits",
            "reinstated_credits",
            "refunded_cents",
            "disputed_cents",
            "stripe_charge_id",
            "revision",
        ]
    )
    return debit


def target_credits(order: Order) -> int:
    """Return how many of an order's credits should be taken back now, open refunds included."""
    asked = Refund.objects.filter(order=order, status=Refund.Status.OPEN)
    asked_cents = asked.aggregate(total=Sum("amount_cents"))["total"] or 0
    cents = order.refunded_cents + order.disputed_cents + asked_cents
    return share_of(order, cents)


def share_of(order: Order, cents: int) -> int:
    """Return how many of an order's credits a part of its payment bought, rounded down."""
    if not order.charged_cents:
        return 0
    return min(order.credits, order.credits * cents // order.charged_cents)


def find_lot(order: Order) -> Lot | None:
    """Return the lot that an order's credits are in."""
    return Lot.objects.filter(
        entry__kind=LedgerEntry.Kind.PURCHASE, entry__reference=str(OrderCredit(order.public_id))
    ).first()


def find_lots(order: Order) -> QuerySet[Lot]:
    """Return the lots that an order's credits are in: of the sale, and of what came back."""
    sale = Q(
        entry__kind=LedgerEntry.Kind.PURCHASE, entry__reference=str(OrderCredit(order.public_id))
    )
    came_back = Q(
        entry__kind=LedgerEntry.Kind.REINSTATEMENT,
        entry__reference__startswith=OrderStep.prefix_of(order.public_id),
    )
    return Lot.objects.filter(sale | came_back)


def find_orders_left(wallet: Wallet) -> QuerySet[Order]:
    """Return the orders of which a lot has something left: few, however many there were."""
    kinds = (LedgerEntry.Kind.PURCHASE, LedgerEntry.Kind.REINSTATEMENT)
    lots = wallet.lots.filter(remaining_credits__gt=0, entry__kind__in=kinds)
    references = lots.values_list("entry__reference", flat=True)
    found = (OrderCredit.find(each) or OrderStep.find(each) for each in references)
    return Order.objects.filter(public_id__in={each.order_id for each in found if each})


def in_money_of(order: Order, charge: Charge, cents: int) -> int:
    """Return a part of a charge as the same part of what its order cost, rounded up.

    They differ where a charge is told in another currency than its order.
    """
    if charge.currency == order.currency or not charge.amount_cents:
        return cents
    return -(-order.charged_cents * cents // charge.amount_cents)


def is_payment_of(order: Order, charge: Charge) -> bool:
    """Tell whether a charge is the order's payment; another charge may name the order, too."""
    known = order.stripe_payment_intent_id
    return charge.is_paid and (not known or charge.payment_intent_id == known)


def refund_status(stripe_status: str) -> str:
    """Return our status for a refund's status at Stripe."""
    if stripe_status in FAILURES:
        return Refund.Status.FAILED
    return Refund.Status.SUCCEEDED if stripe_status == "succeeded" else Refund.Status.PENDING


def _find_order(charge: Charge) -> Order | None:
    order_id = parse_order_id(charge.order_id)
    return Order.objects.filter(public_id=order_id).first() if order_id else None


def _take(order: Order, credits: int) -> Debit:
    order.clawed_back_credits += credits
    # What is there is taken first. Without what had expired, a customer who used nothing would owe
    # it after a full refund.
    fullest = find_lots(order).order_by("-remaining_credits", "pk").first()
    there = _sum(find_lots(order), "remaining_credits")
    revived = _revive(order, most=credits - there)
    # After the wallet's lock, which every transaction takes before its top-up's.
    switch_off_for_return(order)
    return ask_debit(
        Debit(
            wallet=get_wallet(order.team),
            kind=LedgerEntry.Kind.CLAWBACK,
            reference=str(OrderStep(order.public_id, order.clawed_back_credits)),
            amount_credits=credits,
            lot=fullest if there else revived or fullest,
            order=order,
            reason=f"Payment for {order.pack_name} taken back"[:200],
        )
    )


def _revive(order: Order, *, most: int) -> Lot | None:
    """Credit again what expired of an order, so that it can be taken back; at most `most` credits.

    Returns the lot that it is in.
    """
    credits = min(expired_credits(order), most)
    if credits <= 0:
        return None
    entry = post_credit(
        get_wallet(order.team).pk,
        kind=LedgerEntry.Kind.ADJUSTMENT,
        amount_credits=credits,
        reference=Revival(order.public_id, order.clawed_back_credits),
        reason=f"Expired, and its payment returned: {order.pack_name}"[:200],
    )
    return Lot.objects.get(entry=entry)


def expired_credits(order: Order) -> int:
    """Return how many credits of an order expired and were not counted as taken back yet."""
    expired = Debit.objects.filter(
        lot__in=find_lots(order), kind=LedgerEntry.Kind.EXPIRY, booked_at__isnull=False
    )
    return _sum(expired, "taken_credits") - _sum(_revivals(order), "amount_credits")


def _revivals(order: Order) -> QuerySet[LedgerEntry]:
    return LedgerEntry.objects.filter(
        kind=LedgerEntry.Kind.ADJUSTMENT,
        reference__startswith=Revival.prefix_of(order.public_id),
    )


def _sum(rows: QuerySet[Any], column: str) -> int:
    total: int = rows.aggregate(total=Sum(column, default=0))["total"]
    return total


def _reinstate(order: Order, credits: int) -> None:
    """Give credits back, and let expire at once what had expired before it was taken."""
    order.reinstated_credits += credits
    lot = find_lot(order)
    expires_at = lot.expires_at if lot else None
    expired_again = Debit.objects.filter(
        lot__in=find_lots(order), reference__startswith=LapsedLot.prefix()
    )
    # What is taken back counts first against what had expired, so that nobody owes for it.
    taken_expired = _sum(_revivals(order), "amount_credits") - _sum(expired_again, "taken_credits")
    post_credit(
        get_wallet(order.team).pk,
        kind=LedgerEntry.Kind.REINSTATEMENT,
        amount_credits=credits,
        reference=OrderStep(order.public_id, order.reinstated_credits),
        reason=f"Payment for {order.pack_name} stands again"[:200],
        expires_at=expires_at and max(expires_at, timezone.now() + LEAST_VALIDITY),
        lapsed_credits=min(max(taken_expired - order.taken_back_credits, 0), credits),
        paid=_paid_again(lot, order.reinstated_credits, credits),
    )


def _paid_again(lot: Lot | None, total: int, credits: int) -> Paid:
    """Return what credits were sold for that are given back, the last of `total` so far."""
    if lot is None or lot.paid_micros is None:
        return Paid(None)
    each = lot.granted_credits
    return Paid(part_of(lot.paid_micros, each, start=total - credits, end=total), lot.currency)


def _record_refunds(order: Order, charge: Charge) -> None:
    """Update the refunds that we asked for; from now on Stripe's figures include them."""
    ours = {str(refund.public_id): refund for refund in order.refunds.all()}
    for state in charge.refunds:
        refund = ours.get(state.our_id)
        if refund is not None:
            refund.stripe_refund_id = state.refund_id
            refund.status = refund_status(state.status)
            refund.outcome = state.failure[:200]
            refund.save(update_fields=["stripe_refund_id", "status", "outcome"])
        if state.status in FAILURES:
            _report_failed_refund(order, state.refund_id, state.failure)


def _report_failed_refund(order: Order, refund_id: str, failure: str) -> None:
    """Report a failed refund: its credits come back by themselves, its money needs a person."""
    file_item(
        kind="refund_failed",
        reference=refund_id,
        summary=(
            f"A refund to {order.team} failed ({failure or 'no reason given'}). Its credits are "
            "reinstated; the customer may expect the money another way."
        ),
        detail={"order_id": str(order.public_id)},
    )


def _report_other_payment(order: Order, charge: Charge) -> None:
    file_item(
        kind="second_payment_returned",
        reference=charge.charge_id,
        summary="A payment that names an order but did not pay it was refunded or disputed.",
        detail={"order_id": str(order.public_id), "charge_id": charge.charge_id},
    )
