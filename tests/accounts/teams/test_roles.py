"""The table of roles, and the pages that follow it."""

import pytest

from accounts.models import Role
from accounts.teams.roles import ALLOWED, Deed, may, may_act_on
from tests.teams import Crew


def test_an_owner_may_do_everything_and_every_deed_is_in_the_table() -> None:
    assert set(ALLOWED) == set(Deed)
    assert all(Role.OWNER in roles for roles in ALLOWED.values())


@pytest.mark.parametrize(
    ("role", "deed"),
    [
        (Role.DEVELOPER, Deed.BUY),
        (Role.DEVELOPER, Deed.SEE_ALL_USAGE),
        (Role.DEVELOPER, Deed.MANAGE_ALL_KEYS),
        (Role.DEVELOPER, Deed.MANAGE_MEMBERS),
        (Role.DEVELOPER, Deed.SEE_EVENTS),
        (Role.BILLING, Deed.MAKE_KEYS),
        (Role.BILLING, Deed.SEE_ALL_USAGE),
        (Role.BILLING, Deed.MANAGE_MEMBERS),
        (Role.ADMIN, Deed.BUY),
        (Role.ADMIN, Deed.CHANGE_ROLES),
        (Role.ADMIN, Deed.CHANGE_TEAM),
    ],
)
def test_what_a_role_may_not_do(acme: Crew, role: Role, deed: Deed) -> None:
    assert not may(acme.seats[role], deed)


def test_only_an_owner_acts_on_an_owner(acme: Crew) -> None:
    assert may_act_on(acme.owner, Role.OWNER)
    assert may_act_on(acme.admin, Role.ADMIN)
    assert not may_act_on(acme.admin, Role.OWNER)
    assert not may_act_on(acme.developer, Role.DEVELOPER)
