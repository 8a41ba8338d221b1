"""Delete an account: its keys end at once, its books stay, and what is personal goes.

Requests that run settle as ever: a revoked key only starts none. What is unspent is refunded as far
as the settings let customers ask for it; the rest is lost, and the page says so before. Pages on
which something could still be paid are ended at Stripe; money that arrives all the same is returned
(`orders/fulfilment.py`).
"""

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

from django.db import transaction

from accounts.addresses import lock_user
from accounts.models import User
from billing.exceptions import LeavingRefused
from billing.keys.api_keys import forget_keys
from billing.leaving.erasure import erase
from billing.ledger.balances import read_balance
from billing.ledger.credits import lock_wallet
from billing.ledger.wallets import get_wallet
from billing.models import AutoTopUp, Dispute, Order, Refund
from billing.notices.security import notify_account_deleted
from billing.orders.checkout import end_payment_pages
from billing.orders.clawback import find_orders_left
from billing.orders.refund_offers import Offer
from billing.orders.refunds import offer_to_customer, refund_to_customer
from billing.orders.top_up_orders import advance_top_up
from billing.top_ups.cards import end_setup, remove_card


@dataclass(frozen=True)
class Unspent:
    """What a customer leaves behind: credits, and the money that is given back for some of them."""

    credits: int
    offers: tuple[tuple[Order, Offer], ...]

    @property
    def lost_credits(self) -> int:
        return max(self.credits - sum(offer.credits for _, offer in self.offers), 0)


def read_unspent(user: User) -> Unspent:
    """Return what is unspent now, and what of it is refunded when the account is deleted."""
    wallet = get_wallet(user)
    left = find_orders_left(wallet).select_related("user").order_by("pk")
    offers = ((order, offer_to_customer(order)) for order in left)
    return Unspent(
        credits=read_balance(wallet).available_credits,
        offers=tuple((order, offer) for order, offer in offers if offer),
    )


def why_not(user: User) -> str:
    """Return why an account can't be deleted now; empty if it can."""
    orders = Order.objects.filter(user=user)
    if user.is_staff or user.is_superuser:
        return "This account belongs to staff. A superuser takes that away first."
    if get_wallet(user).debt_credits:
        return "Credits are owed. Buy a pack, or write to us."
    if orders.filter(status__in=(Order.Status.PENDING, Order.Status.REVIEW)).exists():
        return "A payment is on its way. Wait until it has arrived, or write to us."
    if Dispute.objects.filter(order__user=user, status__in=Dispute.OPEN).exists():
        return "A payment is disputed. Wait until that has ended, or write to us."
    return ""


def delete_account(user: User) -> None:
    """Delete an account for good. Safe to repeat until it is done.

    Raises LeavingRefused, RefundRefused, PaymentProviderError: the account is then still there.
    """
    _demand(user)
    paid = _paid_orders(user)
    _end_what_is_open(user)
    _demand(user)
    if _paid_orders(user) != paid:
        raise LeavingRefused("A payment has just arrived. Look again at what is unspent.")
    _close(user, paid, [_refund(order) for order, _ in read_unspent(user).offers])


def _end_what_is_open(user: User) -> None:
    """End what could still be paid: payment pages, pages for cards, and top-ups."""
    end_payment_pages(user)
    for top_up in AutoTopUp.objects.filter(wallet__user=user):
        end_setup(top_up)
        remove_card(user)
    top_ups = Order.objects.filter(user=user, channel=Order.Channel.TOP_UP)
    for order in top_ups.filter(status=Order.Status.OPEN):
        advance_top_up(order)


@transaction.atomic
def _close(user: User, paid: set[int], refunds: list[Refund]) -> None:
    # Orders come first, as for everybody who books a payment. One that is booked after this one
    # finds the account gone, and is returned.
    orders = Order.objects.select_for_update().filter(user=user).order_by("pk")
    list(orders.values_list("pk"))
    locked = lock_user(user)
    lock_wallet(get_wallet(user).pk)
    _demand(locked)
    if orders.filter(status=Order.Status.OPEN).exists() or _paid_orders(user) != paid:
        raise LeavingRefused("An order was made or paid meanwhile. Please try again.")
    # First, for it tells what the columns below had.
    notify_account_deleted(locked.email, refunds=[_as_fact(refund) for refund in refunds])
    forget_keys(locked)
    erase(locked)


def _demand(user: User) -> None:
    if reason := why_not(user):
        raise LeavingRefused(reason)


def _paid_orders(user: User) -> set[int]:
    paid = Order.objects.filter(user=user, fulfilled_at__isnull=False)
    return set(paid.values_list("pk", flat=True))


def _refund(order: Order) -> Refund:
    return refund_to_customer(order, key=uuid5(NAMESPACE_URL, f"leaving:{order.public_id}"))


def _as_fact(refund: Refund) -> dict[str, object]:
    return {"amount_cents": refund.amount_cents, "currency": refund.order.currency}
