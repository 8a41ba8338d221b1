"""Who is in a team: everybody's own team, founding one, roles, caps, leaving.

Each change locks the team's row first, so two changes of one team wait for each other. What ends
with a membership in billing, such as its keys, is `billing.teams`' matter.
"""

from collections.abc import Iterable

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from accounts.models import Membership, Role, Team, User
from accounts.teams.events import Action, note
from accounts.teams.exceptions import LastOwner, NotAllowed, NotAMember, TeamClosed, TeamRefused
from accounts.teams.roles import ALLOWED, Deed, demand, may_act_on
from common.names import clean_name

MOST_TEAMS = 50


def own_team(user: User) -> Team:
    """Return a person's own team; the first call makes it. Safe to race."""
    found = Team.objects.filter(person=user).first()
    return found or _make_own_team(user)


@transaction.atomic
def make_own_teams(users: Iterable[User]) -> list[Team]:
    """Make the own teams of many new people at once."""
    teams = Team.objects.bulk_create([Team(person=user) for user in users], batch_size=5_000)
    Membership.objects.bulk_create(
        [Membership(team=team, user=team.person, role=Role.OWNER) for team in teams],
        batch_size=5_000,
    )
    return teams


def own_seat(user: User) -> Membership:
    """Return a person's membership of their own team."""
    seats = Membership.objects.select_related("team__person", "user")
    found = seats.filter(team__person=user, user=user).first()
    return _of(user, found or seats.get(team=own_team(user), user=user))


def find_seat(user: User, public_id: str) -> Membership | None:
    """Return a person's membership of the open team with this id; None for strangers."""
    found = seats_of(user).filter(team__public_id=public_id).first()
    return _of(user, found) if found else None


def seats_of(user: User) -> QuerySet[Membership]:
    """Return a person's memberships of open teams, their own first."""
    found = Membership.objects.filter(user=user, team__closed_at=None)
    return found.select_related("team__person", "user").order_by("joined_at", "pk")


def members_who(team: Team, deed: Deed) -> QuerySet[User]:
    """Return the members of a team who may do this and can log in."""
    return User.objects.filter(
        memberships__team=team, memberships__role__in=ALLOWED[deed], is_active=True
    ).order_by("memberships__joined_at", "pk")


def first_owner(team: Team) -> User:
    """Return whom a team's mail and Stripe's Customer name: whose own it is, or its first owner."""
    if team.person is not None:
        return team.person
    return members_who(team, Deed.CHANGE_TEAM).first() or (
        team.memberships.select_related("user").order_by("joined_at").first().user  # type: ignore[union-attr]
    )


def is_alone(team: Team) -> bool:
    """Tell whether it is somebody's own team of one, who sees no team words at all."""
    return team.is_personal and team.memberships.count() == 1


@transaction.atomic
def found_team(user: User, name: str) -> Membership:
    """Make a team, and the person its owner. Raises TeamRefused."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if Membership.objects.filter(user=user, team__closed_at=None).count() >= MOST_TEAMS:
        raise TeamRefused(
            gettext("A person can be in {most_teams} teams.").format(most_teams=MOST_TEAMS)
        )
    team = Team.objects.create(name=_clean_name(name))
    seat = Membership.objects.create(team=team, user=user, role=Role.OWNER)
    note(team, Action.TEAM_FOUNDED, actor=user, after={"name": team.name})
    return seat


@transaction.atomic
def rename_team(seat: Membership, name: str) -> Team:
    """Give a team another name. Raises NotAllowed, TeamRefused."""
    seat = lock_seat(seat, Deed.CHANGE_TEAM)
    team, before = seat.team, seat.team.name
    team.name = _clean_name(name)
    if team.name != before:
        team.save(update_fields=["name"])
        note(
            team,
            Action.TEAM_RENAMED,
            actor=seat.user,
            before={"name": before},
            after={"name": team.name},
        )
    return team


@transaction.atomic
def change_role(seat: Membership, member: User, role: Role) -> Membership:
    """Give a member another role. Safe to repeat. Raises NotAllowed, NotAMember, LastOwner."""
    seat = lock_seat(seat, Deed.CHANGE_ROLES)
    changed = get_seat(seat.team, member)
    before = changed.role
    if before == role:
        return changed
    if before == Role.OWNER:
        demand_another_owner(changed)
    changed.role = role
    changed.save(update_fields=["role"])
    note(
        seat.team,
        Action.ROLE_CHANGED,
        actor=seat.user,
        member=member,
        before={"role": before},
        after={"role": role},
    )
    return changed


@transaction.atomic
def hand_over(seat: Membership, member: User) -> None:
    """Make another member an owner, and the owner who hands over an admin.

    Raises NotAllowed, NotAMember, TeamRefused.
    """
    seat = lock_seat(seat, Deed.CHANGE_ROLES)
    heir = get_seat(seat.team, member)
    if heir.user_id == seat.user_id:
        raise TeamRefused(gettext("Ownership is handed over to somebody else."))
    before = heir.role
    Membership.objects.filter(pk=heir.pk).update(role=Role.OWNER)
    Membership.objects.filter(pk=seat.pk).update(role=Role.ADMIN)
    note(
        seat.team,
        Action.OWNERSHIP_HANDED_OVER,
        actor=seat.user,
        member=member,
        before={"role": before},
        after={"role": Role.OWNER},
    )


def demand_power_over(seat: Membership, role: str) -> None:
    """Raise NotAllowed unless the member may invite, remove or cap people of this role."""
    if not may_act_on(seat, role):
        raise NotAllowed(gettext("Only an owner may do this to an owner."))


def demand_another_owner(seat: Membership) -> None:
    """Raise LastOwner if a member of a locked team is its only owner."""
    if seat.role != Role.OWNER:
        return
    others = seat.team.memberships.filter(role=Role.OWNER).exclude(pk=seat.pk)
    if not others.exists():
        raise LastOwner(gettext("A team needs an owner: hand it over to somebody first."))


def end_seat(seat: Membership) -> None:
    """End a membership of a locked team, which is then nobody's own if it was theirs."""
    if seat.team.person_id == seat.user_id:
        detach(seat.team)
    seat.delete()


def detach(team: Team) -> None:
    """Let a locked team be nobody's own. Whose it was gets a new one when it is needed."""
    team.person = None
    team.name = team.name or f"Team {team.public_id.hex[:6]}"
    team.save(update_fields=["person", "name"])


def lock_team(team: Team) -> Team:
    """Return a team as it is now, locked until the transaction ends. Raises TeamClosed."""
    locked = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    if locked.closed_at is not None:
        raise TeamClosed(gettext("This team is closed."))
    return locked


def lock_seat(seat: Membership, deed: Deed) -> Membership:
    """Lock a member's team, and return the membership as it is now.

    Raises TeamClosed, NotAMember, and NotAllowed if the role, as it is now, may not do this.
    """
    team = lock_team(seat.team)
    found = get_seat(team, seat.user)
    demand(found, deed)
    return found


def get_seat(team: Team, user: User) -> Membership:
    """Return a person's membership of a team. Raises NotAMember."""
    found = Membership.objects.select_related("user").filter(team=team, user=user).first()
    if found is None:
        raise NotAMember(gettext("This person is not in the team."))
    found.team = team
    return found


@transaction.atomic
def _make_own_team(user: User) -> Team:
    team, _ = Team.objects.get_or_create(person=user)
    Membership.objects.get_or_create(team=team, user=user, defaults={"role": Role.OWNER})
    return team


def _of(user: User, seat: Membership) -> Membership:
    """Let a membership have the person as the caller knows them: with the password of a log-in."""
    seat.user = user
    return seat


def _clean_name(name: str) -> str:
    cleaned = clean_name(name)
    if not cleaned:
        raise TeamRefused(gettext("A team needs a name."))
    if "@" in cleaned or "://" in cleaned:
        # It stands in mails to strangers, and in events that can't be overwritten.
        raise TeamRefused(gettext("A team's name is no address."))
    if len(cleaned) > 60:
        raise TeamRefused(gettext("A team's name has at most 60 characters."))
    return cleaned
