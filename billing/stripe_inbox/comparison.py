"""Invariant 7, checked at Stripe: every charge with an order's id, and what went back of it.

`audit_stripe` reports and changes nothing. `reconcile` first does what a late event would have
done, and files an inbox item for each difference that is left.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from uuid import UUID

from django.utils import timezone

from billing.audit.books import Finding
from billing.exceptions import BillingError
from billing.ledger.inbox import file_item
from billing.models import Dispute, Order, Refund
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.clawback import (
    book_charge,
    in_money_of,
    is_payment_of,
    refund_status,
    target_credits,
)
from billing.orders.top_up_payments import fulfil_top_up
from billing.stripe_api import Charge, parse_order_id, read_charge
from billing.stripe_api.listing import list_charges, list_returned_charges
from billing.stripe_inbox.missed_events import fetch_missed_events

INVARIANT = 7
# Disputes are listed by the day they were opened, which may be four months after their payment.
DAILY_WINDOW = timedelta(days=7)
# What happened just now may still be on its way to us.
GRACE = timedelta(minutes=10)
# Refunds that Stripe has accepted, including those that failed later.
GIVEN = (Refund.Status.PENDING, Refund.Status.SUCCEEDED, Refund.Status.FAILED)
UNCREDITED = (*Order.UNPAID, Order.Status.EXPIRED, Order.Status.FAILED)


def audit_stripe(*, since: datetime | None = None, grace: timedelta = GRACE) -> list[Finding]:
    """Return every difference between Stripe's charges and our orders since then, or ever.

    Raises PaymentProviderError.
    """
    start = since or _first_order()
    if start is None:
        return []
    until = timezone.now() - grace
    charges = _charges_since(start)
    return sorted(
        {
            *_wrong_charges(charges, until),
            *_missing_charges(charges, start, until),
            # Only a list of all charges can show that a refund or dispute is on none of them.
            *(() if since else _missing_returns(charges)),
        }
    )


def reconcile(*, window: timedelta = DAILY_WINDOW) -> list[Finding]:
    """Catch up on what was missed, then file what still differs. Safe to repeat.

    Raises PaymentProviderError.
    """
    fetch_missed_events(window)
    since = timezone.now() - window
    for charge in _charges_since(since):
        if _problems(charge):
            _catch_up(charge)
    findings = audit_stripe(since=since)
    for finding in findings:
        file_item(
            kind="stripe_difference",
            reference=f"{finding.subject}: {finding.problem}"[:120],
            summary=f"{finding.subject}: {finding.problem}",
        )
    return findings


def _charges_since(since: datetime) -> list[Charge]:
    """Return our paid charges that were made, refunded or disputed since then."""
    charges = {charge.charge_id: charge for charge in list_charges(since)}
    for charge_id in sorted(list_returned_charges(since) - charges.keys()):
        charges[charge_id] = read_charge(charge_id)
    return [c for c in charges.values() if c.is_paid and parse_order_id(c.order_id)]


def _catch_up(charge: Charge) -> None:
    """Do what a late event would have done. A difference that remains is found by the audit."""
    order = _find(charge)
    try:
        if order and order.is_top_up and order.status in UNCREDITED:
            fulfil_top_up(charge.payment_intent_id)
        elif order and order.status in UNCREDITED:
            fulfil_checkout(order.stripe_session_id or "")
        elif order:
            book_charge(charge.charge_id)
    except BillingError:
        return


def _wrong_charges(charges: Iterable[Charge], until: datetime) -> Iterator[Finding]:
    for charge in charges:
        order = _find(charge)
        subject = f"order {charge.order_id}" if order else f"charge {charge.charge_id}"
        if charge.changed_at < until:
            for problem in _problems(charge):
                yield Finding(INVARIANT, subject, problem)


def _problems(charge: Charge) -> list[str]:
    """Return the differences between a paid charge and its order, in words."""
    order = _find(charge)
    is_back = charge.refunded_cents + charge.disputed_cents >= charge.amount_cents
    if order is None:
        orphan = f"was paid for the order {charge.order_id}, which does not exist"
        return [] if is_back else [orphan]
    if order.status in UNCREDITED:
        return [f"was paid ({charge.charge_id}), but is {order.status}"]
    if not is_payment_of(order, charge):
        paid_again = [] if is_back else [f"was paid again ({charge.charge_id})"]
        return [*paid_again, *_wrong_disputes(order, charge)]
    return [
        *_wrong_figures(order, charge),
        *_wrong_refunds(order, charge),
        *_wrong_disputes(order, charge),
    ]


def _wrong_figures(order: Order, charge: Charge) -> Iterator[str]:
    figures = {
        "paid": (
            f"{charge.amount_cents} {charge.currency}",
            f"{order.charged_cents} {order.currency}",
        ),
        "refunded": (in_money_of(order, charge, charge.refunded_cents), order.refunded_cents),
        "disputed": (in_money_of(order, charge, charge.disputed_cents), order.disputed_cents),
    }
    for name, (theirs, ours) in figures.items():
        if theirs != ours:
            yield f"Stripe says {theirs} {name}, we say {ours}"
    target = target_credits(order)
    if order.status == Order.Status.FULFILLED and order.taken_back_credits != target:
        yield f"{order.taken_back_credits} credits taken back instead of {target}"


def _wrong_refunds(order: Order, charge: Charge) -> Iterator[str]:
    """Yield the refunds of ours that have another status at Stripe, in words."""
    ours = {str(refund.public_id): refund.status for refund in order.refunds.all()}
    for state in charge.refunds:
        status = ours.get(state.our_id)
        if status is not None and status != refund_status(state.status):
            yield f"the refund {state.our_id} is {state.status}, we say {status}"


def _wrong_disputes(order: Order, charge: Charge) -> Iterator[str]:
    """Yield the disputes that have another status at Stripe, in words.

    The figures don't show each change: an inquiry moves no money, and losing a dispute no more.
    """
    ours = {dispute.stripe_dispute_id: dispute.status for dispute in order.disputes.all()}
    for state in charge.disputes:
        status = ours.get(state.dispute_id, "nothing")
        if status != state.status:
            yield f"the dispute {state.dispute_id} is {state.status}, we say {status}"


def _missing_charges(
    charges: Iterable[Charge], since: datetime, until: datetime
) -> Iterator[Finding]:
    """Yield the orders that were credited for a payment that Stripe does not know."""
    seen = {charge.payment_intent_id for charge in charges}
    credited = Order.objects.filter(
        status=Order.Status.FULFILLED,
        # A charge is made up to a day after its order, so these orders' charges are all listed.
        created_at__gte=since,
        fulfilled_at__lt=until,
    ).exclude(paid_cents=0)
    for order in credited.exclude(stripe_payment_intent_id__in=seen):
        yield Finding(
            INVARIANT, f"order {order.public_id}", "was credited, but Stripe has no such charge"
        )


def _missing_returns(charges: Iterable[Charge]) -> Iterator[Finding]:
    """Yield our refunds and disputes of these charges' orders that Stripe does not have."""
    charges = list(charges)
    order_ids = _ids(charge.order_id for charge in charges)
    refund_ids = _ids(refund.our_id for charge in charges for refund in charge.refunds)
    dispute_ids = {dispute.dispute_id for charge in charges for dispute in charge.disputes}
    for refund in (
        Refund.objects.filter(order__public_id__in=order_ids, status__in=GIVEN)
        .exclude(public_id__in=refund_ids)
        .select_related("order")
    ):
        text = f"the refund {refund.public_id} is not at Stripe, we say {refund.status}"
        yield Finding(INVARIANT, f"order {refund.order.public_id}", text)
    for dispute in (
        Dispute.objects.filter(order__public_id__in=order_ids)
        .exclude(stripe_dispute_id__in=dispute_ids)
        .select_related("order")
    ):
        text = f"the dispute {dispute.stripe_dispute_id} is not at Stripe, we say {dispute.status}"
        yield Finding(INVARIANT, f"order {dispute.order.public_id}", text)


def _ids(texts: Iterable[str]) -> set[UUID]:
    found = (parse_order_id(text) for text in texts)
    return {each for each in found if each is not None}


def _find(charge: Charge) -> Order | None:
    order_id = parse_order_id(charge.order_id)
    return Order.objects.filter(public_id=order_id).first() if order_id else None


def _first_order() -> datetime | None:
    return Order.objects.order_by("created_at").values_list("created_at", flat=True).first()
