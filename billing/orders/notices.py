"""What customers are mailed about their orders."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from accounts.teams.roles import Deed
from billing.models import Notice, Order
from billing.notices.notify import as_fact, notify_members

Kind = Notice.Kind
MONEY = Deed.GET_MONEY_MAIL


def notify_order(order: Order) -> None:
    """Send the receipt of an order that was credited."""
    days = order.validity_days
    credited_at = order.fulfilled_at or timezone.now()
    expires_at = None if days is None else credited_at + timedelta(days=days)
    notify_members(
        order.team,
        MONEY,
        Kind.PURCHASE,
        reference=str(order.public_id),
        **_order_facts(order),
        has_receipt=bool(order.receipt_url),
        expires_at=as_fact(expires_at),
    )


def notify_refund(order: Order) -> None:
    """Say how much of an order was refunded so far, once for each time that the sum grew."""
    # The sum may reach the same amount twice, if the first refund failed. The clawed back credits
    # only grow, so they tell the two apart.
    reached = f"{order.refunded_cents}:{order.clawed_back_credits}"
    notify_members(
        order.team,
        MONEY,
        Kind.REFUND,
        reference=f"{order.public_id}:{reached}",
        **_order_facts(order),
        refunded_cents=order.refunded_cents,
        clawed_back_credits=order.taken_back_credits,
    )


def notify_dispute(order: Order, *, reference: str, state: str = "opened") -> None:
    """Say that a payment is disputed, or how that ended: `opened`, `won` or `lost` by us."""
    notify_members(
        order.team,
        MONEY,
        Kind.DISPUTE,
        reference=f"{reference}:{state}",
        **_order_facts(order),
        state=state,
    )


def notify_top_up_succeeded(order: Order) -> None:
    """Say that an automatic top-up was paid; `notify_order` sends its receipt."""
    notify_members(
        order.team,
        MONEY,
        Kind.TOP_UP_SUCCEEDED,
        reference=str(order.public_id),
        **_order_facts(order),
    )


def notify_top_up_declined(order: Order, *, reason: str, checkout_url: str) -> None:
    """Say that the card was declined and that automatic top-up is off; link to a Checkout."""
    notify_members(
        order.team,
        MONEY,
        Kind.TOP_UP_DECLINED,
        reference=str(order.public_id),
        **_order_facts(order),
        reason=reason,
        checkout_url=checkout_url,
    )


def notify_top_up_action(order: Order, *, checkout_url: str) -> None:
    """Say that the bank wants the customer to confirm; link to a Checkout for that."""
    notify_members(
        order.team,
        MONEY,
        Kind.TOP_UP_ACTION,
        reference=str(order.public_id),
        **_order_facts(order),
        checkout_url=checkout_url,
    )


def _order_facts(order: Order) -> dict[str, Any]:
    return {
        "order_id": str(order.public_id),
        "pack_name": order.pack_name,
        "credits": order.credits,
        "bonus_credits": order.bonus_credits,
        # What was paid, with discount and tax; until then the price.
        "amount_cents": order.charged_cents,
        "currency": order.currency,
    }
