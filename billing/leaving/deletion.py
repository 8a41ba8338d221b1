"""Delete an account: its keys end at once, its books stay, and what is personal goes.

The person's own team is ended as any team is (`teams/closing.py`), and they leave all others.
"""

from django.utils.translation import gettext

from accounts.addresses import lock_user
from accounts.models import Membership, Role, User
from accounts.teams.exceptions import TeamRefused
from accounts.teams.members import own_team, seats_of
from billing.exceptions import LeavingRefused
from billing.keys.api_keys import forget_keys
from billing.leaving.erasure import erase
from billing.models import Refund
from billing.notices.security import notify_account_deleted
from billing.teams.closing import end_team, why_not_closed
from billing.teams.members import leave_team


def why_not(user: User) -> str:
    """Return why an account can't be deleted now; empty if it can."""
    if user.is_staff or user.is_superuser:
        return gettext("This account belongs to staff. A superuser takes that away first.")
    team = own_team(user)
    if team.memberships.count() > 1:
        return gettext(
            "Others are in your own team. Remove them, or make somebody its owner and leave it."
        )
    for seat in _other_seats(user):
        if seat.role == Role.OWNER and seat.team.memberships.filter(role=Role.OWNER).count() == 1:
            return gettext("You are the only owner of {team}. Hand it over, or close it.").format(
                team=seat.team
            )
    return why_not_closed(team)


def delete_account(user: User) -> None:
    """Delete an account for good. Safe to repeat until it is done.

    Raises LeavingRefused, RefundRefused, PaymentProviderError: the account is then still there.
    """
    _demand(user)
    try:
        end_team(own_team(user), lambda _, refunds: _leave(user, refunds), by=user)
    except TeamRefused as refusal:
        raise LeavingRefused(str(refusal)) from refusal


def _leave(user: User, refunds: list[Refund]) -> None:
    """Take a person out of everything, in the transaction that closes their own team."""
    locked = lock_user(user)
    _demand(locked)
    for seat in _other_seats(locked):
        leave_team(seat)
    # First, for it tells what the columns below had.
    notify_account_deleted(locked.email, refunds=[_as_fact(refund) for refund in refunds])
    forget_keys(locked)
    erase(locked)


def _demand(user: User) -> None:
    if reason := why_not(user):
        raise LeavingRefused(reason)


def _other_seats(user: User) -> list[Membership]:
    return list(seats_of(user).exclude(team__person=user).order_by("team"))


def _as_fact(refund: Refund) -> dict[str, object]:
    return {"amount_cents": refund.amount_cents, "currency": refund.order.currency}
