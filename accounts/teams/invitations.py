"""Invitations to a team: by mail, for seven days, for the one address that was invited.

The link has a secret of 256 random bits, of which only the digest is kept. It is of no use to
anybody but the person whose confirmed address was invited; they need no link once they are signed
in, since the confirmed address is the proof.
"""

import hashlib
import secrets
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.addresses import is_confirmed
from accounts.models import Invitation, Membership, Role, Team, User
from accounts.teams.events import Action, note
from accounts.teams.exceptions import InvitationRefused
from accounts.teams.members import MOST_TEAMS, demand_power_over, lock_seat, lock_team
from accounts.teams.roles import Deed, may_act_on
from common.attempts import count_attempt

LIFETIME = timedelta(days=7)
MOST_MEMBERS = 200
# Of one person, and to one address, within an hour: a mail costs its reader time.
MOST_BY_PERSON = 20
MOST_TO_ADDRESS = 5
GONE = _("This invitation was used or withdrawn, or is too old.")


@transaction.atomic
def invite(seat: Membership, email: str, role: Role) -> tuple[Invitation, str]:
    """Invite an address, and return the invitation with its secret, which can't be read again.

    An open invitation of the same address ends. Raises NotAllowed, InvitationRefused.
    """
    address = _clean(email)
    if not is_confirmed(seat.user):
        raise InvitationRefused(gettext("Confirm your own address before you invite others."))
    seat = lock_seat(seat, Deed.MANAGE_MEMBERS)
    demand_power_over(seat, role)
    if Membership.objects.filter(team=seat.team, user__email=address).exists():
        raise InvitationRefused(gettext("This person is in the team already."))
    _check_rate(seat, address)
    now = timezone.now()
    _open_ones(seat.team).filter(email=address).update(revoked_at=now)
    secret = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        team=seat.team,
        email=address,
        role=role,
        digest=digest_of(secret),
        invited_by=seat.user,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    note(
        seat.team,
        Action.MEMBER_INVITED,
        actor=seat.user,
        invitation=invitation,
        after={"role": role},
    )
    return invitation, secret


@transaction.atomic
def revoke_invitation(seat: Membership, invitation: Invitation) -> bool:
    """Withdraw an invitation. False if it was used or withdrawn before. Raises NotAllowed."""
    seat = lock_seat(seat, Deed.MANAGE_MEMBERS)
    ended = _open_ones(seat.team).filter(pk=invitation.pk).update(revoked_at=timezone.now())
    if not ended:
        return False
    note(seat.team, Action.INVITATION_REVOKED, actor=seat.user, invitation=invitation)
    return True


def find_invitation(secret: str) -> Invitation | None:
    """Return the invitation of a link, if it can still be accepted."""
    return _acceptable().filter(digest=digest_of(secret)).first()


def find_invitation_to(user: User, invitation_id: int) -> Invitation | None:
    """Return an invitation of a person's confirmed address, if it can still be accepted."""
    return next((found for found in invitations_to(user) if found.pk == invitation_id), None)


def invitations_to(user: User) -> list[Invitation]:
    """Return the invitations that a person can accept, newest first; none without confirmation."""
    if not is_confirmed(user):
        return []
    return list(_acceptable().filter(email=user.email))


@transaction.atomic
def accept(user: User, invitation: Invitation) -> Membership:
    """Join the team of an invitation that was found. Of two calls at once, one joins.

    The address invited must be the person's present one, and confirmed. Raises InvitationRefused,
    also for None, and TeamClosed.
    """
    team = lock_team(invitation.team)
    # Only now nobody else can use, withdraw or answer it.
    if not _acceptable().filter(pk=invitation.pk).exists():
        raise InvitationRefused(GONE)
    if user.email != invitation.email or not is_confirmed(user):
        raise InvitationRefused(
            gettext("This invitation is for another address, or yours is not confirmed yet.")
        )
    _check_inviter(invitation)
    _check_room(team, user)
    seat = Membership.objects.create(team=team, user=user, role=invitation.role)
    Invitation.objects.filter(pk=invitation.pk).update(accepted_at=timezone.now(), accepted_by=user)
    note(
        team,
        Action.MEMBER_JOINED,
        actor=user,
        member=user,
        invitation=invitation,
        after={"role": seat.role},
    )
    return seat


def open_invitations(team: Team) -> list[Invitation]:
    """Return the invitations of a team that can still be accepted, newest first."""
    return list(_open_ones(team).filter(expires_at__gt=timezone.now()))


def end_invitations(team: Team) -> None:
    """Withdraw every open invitation of a locked team."""
    _open_ones(team).update(revoked_at=timezone.now())


def digest_of(secret: str) -> str:
    """Return the SHA-256 of an invitation's secret in hex, as the database stores it."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _acceptable() -> QuerySet[Invitation]:
    return Invitation.objects.select_related("team__person", "invited_by").filter(
        accepted_at=None,
        revoked_at=None,
        expires_at__gt=timezone.now(),
        team__closed_at=None,
    )


def _open_ones(team: Team) -> QuerySet[Invitation]:
    return Invitation.objects.filter(team=team, accepted_at=None, revoked_at=None)


def _check_inviter(invitation: Invitation) -> None:
    """Raise InvitationRefused if whoever invited has left, or may not invite this role any more."""
    seats = Membership.objects.filter(team=invitation.team, user=invitation.invited_by)
    if not any(may_act_on(seat, invitation.role) for seat in seats):
        raise InvitationRefused(GONE)


def _check_room(team: Team, user: User) -> None:
    if Membership.objects.filter(team=team, user=user).exists():
        raise InvitationRefused(gettext("You are in this team already."))
    if team.memberships.count() >= MOST_MEMBERS:
        raise InvitationRefused(
            gettext("A team has at most {most_members} members.").format(most_members=MOST_MEMBERS)
        )
    if Membership.objects.filter(user=user, team__closed_at=None).count() >= MOST_TEAMS:
        raise InvitationRefused(
            gettext("A person can be in {most_teams} teams.").format(most_teams=MOST_TEAMS)
        )


def _check_rate(seat: Membership, address: str) -> None:
    counters = {
        f"invitations:user:{seat.user_id}": MOST_BY_PERSON,
        f"invitations:address:{hashlib.sha256(address.encode()).hexdigest()}": MOST_TO_ADDRESS,
    }
    for key, most in counters.items():
        if count_attempt(key) > most:
            raise InvitationRefused(
                gettext("Too many invitations within an hour. Please wait a while.")
            )


def _clean(email: str) -> str:
    address = email.strip().lower()
    try:
        validate_email(address)
    except ValidationError as error:
        raise InvitationRefused(gettext("This is not an e-mail address.")) from error
    return address
