"""End a membership, with the keys that its member made; set what a member may spend.

Locks are taken in one order: the team's row, its wallet, keys.
"""

from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from accounts.models import ApiKey, Membership, Team, User
from accounts.teams.events import Action, note
from accounts.teams.exceptions import TeamRefused
from accounts.teams.members import (
    demand_another_owner,
    demand_power_over,
    end_seat,
    get_seat,
    is_alone,
    lock_seat,
    lock_team,
)
from accounts.teams.roles import Deed
from billing.exceptions import InvalidAmount
from billing.keys.api_keys import leave_keys_to_team, revoke_keys
from billing.ledger.credits import lock_wallet
from billing.ledger.pushes import push_on_commit
from billing.ledger.wallets import get_wallet
from billing.models import NotificationSettings
from billing.teams.notices import notify_removed
from common import money
from common.credits import MAX_CREDITS


@transaction.atomic
def leave_team(seat: Membership) -> None:
    """Leave a team for good; the keys that the member made end at once.

    Raises LastOwner, NotAMember, TeamClosed, and TeamRefused for one's own team of one.
    """
    team = lock_team(seat.team)
    seat = get_seat(team, seat.user)
    if is_alone(team):
        raise TeamRefused(gettext("You are alone here. To leave, delete your account."))
    demand_another_owner(seat)
    _end(seat, by=seat.user, keeps_keys=False, action=Action.MEMBER_LEFT)


@transaction.atomic
def remove_member(seat: Membership, member: User, *, keeps_keys: bool) -> None:
    """Remove somebody from a team. Their keys end at once or, with `keeps_keys`, are the team's.

    Raises NotAllowed, NotAMember, LastOwner, TeamClosed, and TeamRefused for oneself.
    """
    seat = lock_seat(seat, Deed.MANAGE_MEMBERS)
    removed = get_seat(seat.team, member)
    if removed.user_id == seat.user_id:
        raise TeamRefused(gettext("You can't remove yourself: leave the team."))
    demand_power_over(seat, removed.role)
    demand_another_owner(removed)
    notify_removed(removed, keeps_keys=keeps_keys)
    _end(removed, by=seat.user, keeps_keys=keeps_keys, action=Action.MEMBER_REMOVED)


@transaction.atomic
def set_member_caps(
    seat: Membership,
    member: User,
    *,
    lifetime_cap_credits: int | None,
    monthly_cap_credits: int | None,
) -> Membership:
    """Set the most that all keys of a member may spend; None is no cap. Binds the next request.

    Safe to repeat. Raises NotAllowed, NotAMember, TeamClosed, InvalidAmount.
    """
    caps = {
        "lifetime_cap_credits": lifetime_cap_credits,
        "monthly_cap_credits": monthly_cap_credits,
    }
    if any(cap is not None and not 0 <= cap <= MAX_CREDITS for cap in caps.values()):
        raise InvalidAmount(
            gettext("A cap is between 0 and {max_credits} credits.").format(
                max_credits=money.credits(MAX_CREDITS)
            )
        )
    seat = lock_seat(seat, Deed.MANAGE_MEMBERS)
    capped = get_seat(seat.team, member)
    demand_power_over(seat, capped.role)
    before: dict[str, Any] = {name: getattr(capped, name) for name in caps}
    if before == caps:
        return capped
    for name, cap in caps.items():
        setattr(capped, name, cap)
    capped.save(update_fields=list(caps))
    # Every process reads the member's keys, and these caps with them, again.
    push_on_commit(get_wallet(seat.team).pk)
    note(
        seat.team,
        Action.CAPS_CHANGED,
        actor=seat.user,
        member=member,
        before=before,
        after=caps,
    )
    return capped


def end_keys_of(team: Team, user: User, *, by: User | None) -> None:
    """Revoke the keys that somebody made in a locked team."""
    lock_wallet(get_wallet(team).pk)
    revoke_keys(ApiKey.objects.filter(team=team, created_by=user, is_left_to_team=False), by=by)


def _end(seat: Membership, *, by: User, keeps_keys: bool, action: Action) -> None:
    team, user = seat.team, seat.user
    if keeps_keys:
        lock_wallet(get_wallet(team).pk)
        leave_keys_to_team(ApiKey.objects.filter(team=team, created_by=user, revoked_at=None))
    else:
        end_keys_of(team, user, by=by)
    NotificationSettings.objects.filter(team=team, user=user).delete()
    before = {"role": seat.role}
    end_seat(seat)
    after = {"keys": "passed to the team" if keeps_keys else "ended"}
    note(team, action, actor=by, member=user, before=before, after=after)
