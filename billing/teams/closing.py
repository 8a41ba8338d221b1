"""End a team: its keys end at once, its books stay, and what is unspent is refunded as far as the
settings let customers ask for it. The rest is lost, and the page says so before.

Requests that run settle as ever: a revoked key only starts none. Pages on which something could
still be paid are ended at Stripe; money that arrives all the same is returned
(`orders/fulfilment.py`).
"""

from collections.abc import Callable
from uuid import NAMESPACE_URL, uuid5

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import ApiKey, Membership, Team, User
from accounts.teams.events import Action, note
from accounts.teams.exceptions import TeamRefused
from accounts.teams.invitations import end_invitations
from accounts.teams.members import detach, is_alone, lock_seat, lock_team
from accounts.teams.roles import Deed, demand
from billing.keys.api_keys import revoke_keys
from billing.ledger.balances import read_balance
from billing.ledger.credits import lock_wallet
from billing.ledger.wallets import get_wallet
from billing.models import AutoTopUp, Dispute, Order, Refund
from billing.orders.checkout import end_payment_pages
from billing.orders.refunds import refund_to_customer
from billing.orders.top_up_orders import advance_top_up
from billing.teams.notices import notify_closed
from billing.teams.unspent import read_unspent
from billing.top_ups.cards import end_setup, remove_card

# What ends with a team that is locked and refunded.
Closing = Callable[[Team, list[Refund]], None]


def close_team(seat: Membership) -> list[Refund]:
    """Close a team for good, and return the refunds. Safe to repeat until it is done.

    Raises NotAllowed, TeamRefused, RefundRefused, PaymentProviderError: the team is then still
    open.
    """
    demand(seat, Deed.CHANGE_TEAM)
    if is_alone(seat.team):
        raise TeamRefused(gettext("This team is yours alone. To close it, delete your account."))

    def close(team: Team, refunds: list[Refund]) -> None:
        locked = lock_seat(seat, Deed.CHANGE_TEAM)
        revoke_keys(ApiKey.objects.filter(team=team), by=locked.user)
        notify_closed(team, refunds=len(refunds))
        # Whose own team it was gets a new one, which is open.
        detach(team)

    return end_team(seat.team, close, by=seat.user)


def why_not_closed(team: Team) -> str:
    """Return why a team can't be ended now; empty if it can."""
    orders = Order.objects.filter(team=team)
    if get_wallet(team).debt_credits:
        return gettext("Credits are owed. Buy a pack, or write to us.")
    if orders.filter(status__in=(Order.Status.PENDING, Order.Status.REVIEW)).exists():
        return gettext("A payment is on its way. Wait until it has arrived, or write to us.")
    if Dispute.objects.filter(order__team=team, status__in=Dispute.OPEN).exists():
        return gettext("A payment is disputed. Wait until that has ended, or write to us.")
    return ""


def end_team(team: Team, close: Closing, *, by: User) -> list[Refund]:
    """Refund what is unspent, and close a team together with what `close` does to it.

    Safe to repeat until it is done. Raises TeamRefused, RefundRefused, PaymentProviderError: the
    team is then still open.
    """
    _demand(team)
    paid = _paid_orders(team)
    _end_what_is_open(team, by)
    _demand(team)
    if _paid_orders(team) != paid:
        raise TeamRefused(gettext("A payment has just arrived. Look again at what is unspent."))
    refunds = [_refund(order, by) for order, _ in read_unspent(team).offers]
    _close(team, paid, lambda locked: close(locked, refunds), by=by)
    return refunds


def _end_what_is_open(team: Team, by: User) -> None:
    """End what could still be paid: payment pages, pages for cards, and top-ups."""
    end_payment_pages(team)
    for top_up in AutoTopUp.objects.filter(wallet__team=team):
        end_setup(top_up)
        remove_card(team, by=by)
    top_ups = Order.objects.filter(team=team, channel=Order.Channel.TOP_UP)
    for order in top_ups.filter(status=Order.Status.OPEN):
        advance_top_up(order)


@transaction.atomic
def _close(team: Team, paid: set[int], close: Callable[[Team], None], *, by: User) -> None:
    # Orders come first, as for everybody who books a payment. One that is booked after this one
    # finds the team closed, and is returned.
    orders = Order.objects.select_for_update().filter(team=team).order_by("pk")
    list(orders.values_list("pk"))
    locked = lock_team(team)
    lock_wallet(get_wallet(team).pk)
    _demand(locked)
    if orders.filter(status=Order.Status.OPEN).exists() or _paid_orders(team) != paid:
        raise TeamRefused(gettext("An order was made or paid meanwhile. Please try again."))
    end_invitations(locked)
    unspent = read_balance(get_wallet(team)).available_credits
    note(locked, Action.TEAM_CLOSED, actor=by, after={"unspent_credits": unspent})
    close(locked)
    # Nothing happens in it any more, and what its webhooks were sent names what it did.
    locked.webhooks.all().delete()
    locked.closed_at = timezone.now()
    locked.save(update_fields=["closed_at"])


def _demand(team: Team) -> None:
    if reason := why_not_closed(team):
        raise TeamRefused(reason)


def _paid_orders(team: Team) -> set[int]:
    paid = Order.objects.filter(team=team, fulfilled_at__isnull=False)
    return set(paid.values_list("pk", flat=True))


def _refund(order: Order, by: User) -> Refund:
    key = uuid5(NAMESPACE_URL, f"leaving:{order.public_id}")
    return refund_to_customer(order, key=key, by=by)
