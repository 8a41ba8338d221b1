"""A team with a member of each role."""

from dataclasses import dataclass

from django.test import Client

from accounts.models import Membership, Role, Team, User
from accounts.teams.invitations import accept, invite
from accounts.teams.members import found_team
from billing.ledger.wallets import wallet_of
from tests.conftest import signed_in


@dataclass
class Crew:
    """A team, and who is in it by their role."""

    team: Team
    seats: dict[Role, Membership]

    def person(self, role: Role) -> User:
        return self.seats[role].user

    def browser(self, role: Role) -> Client:
        """Return the browser of the member who has this role."""
        return signed_in(self.person(role))

    def page(self, path: str = "") -> str:
        """Return the address of one of the team's pages in the dashboard."""
        return f"/teams/{self.team.public_id}/dashboard/{path}"


def make_crew(name: str, *, owner: User) -> Crew:
    """Make a team of four: its owner, and an admin, a developer and somebody for billing."""
    first = found_team(owner, name)
    seats = {Role.OWNER: first}
    for role in (Role.ADMIN, Role.DEVELOPER, Role.BILLING):
        person = User.objects.create_user(f"{role.value}@{name.lower()}.example.com", "a pelican")
        wallet_of(person)
        seats[role] = join(first, person, role)
    return Crew(first.team, seats)


def join(seat: Membership, person: User, role: Role) -> Membership:
    """Let somebody join the team of this member, as people do."""
    _, secret = invite(seat, person.email, role)
    return accept(person, secret)
