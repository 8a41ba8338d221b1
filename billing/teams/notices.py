"""What members are mailed of their team. People are named by id, and read when it is sent."""

from uuid import uuid4

from django.utils import translation

from accounts.models import Membership, Team, User
from accounts.teams.roles import Deed
from billing.models import Notice
from billing.notices.notify import notify, notify_members

Kind = Notice.Kind


def notify_joined(seat: Membership) -> None:
    """Say to those who manage members that somebody has accepted an invitation."""
    notify_members(
        seat.team,
        Deed.MANAGE_MEMBERS,
        Kind.TEAM_JOINED,
        reference=f"member:{seat.pk}",
        person_id=seat.user_id,
        role=_english_role(seat),
    )


def notify_role_changed(seat: Membership, *, reference: str) -> None:
    """Say to a member what their role is now."""
    notify(
        seat.user,
        Kind.TEAM_ROLE_CHANGED,
        reference=reference,
        team=seat.team,
        role=_english_role(seat),
    )


def notify_handed_over(team: Team, *, heir: User, giver: User) -> None:
    """Say to both that one owns the team after the other. Every call sends both mails."""
    reference = str(uuid4())
    for user, other in ((heir, giver), (giver, heir)):
        notify(
            user,
            Kind.TEAM_HANDED_OVER,
            reference=reference,
            team=team,
            person_id=other.pk,
            is_heir=user == heir,
        )


def notify_removed(seat: Membership, *, keeps_keys: bool) -> None:
    """Say to somebody who was removed what becomes of their keys."""
    notify(
        seat.user,
        Kind.TEAM_REMOVED,
        reference=f"member:{seat.pk}",
        team=seat.team,
        keeps_keys=keeps_keys,
    )


def notify_closed(team: Team, *, refunds: int) -> None:
    """Say to every member that their team is closed."""
    for seat in team.memberships.select_related("user"):
        notify(
            seat.user,
            Kind.TEAM_CLOSED,
            reference=f"team:{team.pk}",
            team=team,
            refunds=refunds,
        )


def _english_role(seat: Membership) -> str:
    """Return a member's role as the fact of a mail, which is translated for its reader."""
    with translation.override("en"):
        return seat.get_role_display()
