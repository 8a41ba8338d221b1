"""A team with one member of each role, for tests about who may do what."""

from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.test import Client

from accounts.models import Membership, Role, Team, User
from accounts.teams.members import found_team
from tests.conftest import person, signed_in


@dataclass
class Crew:
    """A team, and its members by role. The owner founded it."""

    team: Team
    seats: dict[Role, Membership]

    @property
    def owner(self) -> Membership:
        return self.seats[Role.OWNER]

    @property
    def admin(self) -> Membership:
        return self.seats[Role.ADMIN]

    @property
    def developer(self) -> Membership:
        return self.seats[Role.DEVELOPER]

    @property
    def billing(self) -> Membership:
        return self.seats[Role.BILLING]

    def person(self, role: Role) -> User:
        return self.seats[role].user

    def browser(self, role: Role) -> Client:
        """Return the browser of the member who has this role."""
        return signed_in(self.person(role))

    def page(self, path: str = "") -> str:
        """Return the address of one of the team's pages in the dashboard."""
        return f"/teams/{self.team.public_id}/dashboard/{path}"


def make_crew(name: str, owner: User) -> Crew:
    """Found a team with an admin, a developer and a member for billing beside its owner."""
    seat = found_team(owner, name)
    seats = {Role.OWNER: seat}
    for role in (Role.ADMIN, Role.DEVELOPER, Role.BILLING):
        seats[role] = join(seat.team, confirmed(f"{role}-{name.lower()}"), role)
    return Crew(seat.team, seats)


def join(team: Team, user: User, role: Role) -> Membership:
    return Membership.objects.create(team=team, user=user, role=role)


def confirmed(name: str) -> User:
    """Make a person whose address is confirmed."""
    return confirm(person(name))


def confirm(user: User) -> User:
    EmailAddress.objects.create(user=user, email=user.email, primary=True, verified=True)
    return user
