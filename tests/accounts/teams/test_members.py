from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Membership, Role, Team, TeamEvent, User
from accounts.teams.events import Action
from accounts.teams.exceptions import LastOwner, NotAllowed, NotAMember, TeamClosed, TeamRefused
from accounts.teams.members import (
    change_role,
    find_seat,
    found_team,
    hand_over,
    is_alone,
    members_who,
    own_seat,
    own_team,
    rename_team,
)
from accounts.teams.roles import Deed
from tests.racing import race
from tests.teams import Crew, join


def check_now() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def test_everybody_has_a_team_of_their_own_whose_name_is_theirs(alice: User) -> None:
    team = own_team(alice)

    assert own_team(alice) == team
    assert str(team) == alice.email
    assert own_seat(alice).role == Role.OWNER
    assert is_alone(team)


@pytest.mark.django_db(transaction=True)
def test_a_team_that_is_needed_twice_at_once_is_made_once() -> None:
    user = User.objects.create_user("carol@example.com")

    made = race([lambda: own_team(user).pk] * 3, meet_at='INSERT INTO "accounts_team"')

    assert len(set(made)) == 1
    assert Membership.objects.get(user=user).role == Role.OWNER


def test_whoever_founds_a_team_owns_it_and_it_is_written_down(alice: User) -> None:
    seat = found_team(alice, "  Acme   Inc ")

    assert (seat.team.name, seat.role, seat.team.is_personal) == ("Acme Inc", Role.OWNER, False)
    event = TeamEvent.objects.get(team=seat.team)
    assert (event.action, event.actor, event.after) == (
        Action.TEAM_FOUNDED,
        alice,
        {"name": "Acme Inc"},
    )


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "alice@example.com", "https://example.com"])
def test_a_team_without_a_fitting_name_is_refused(alice: User, name: str) -> None:
    with pytest.raises(TeamRefused):
        found_team(alice, name)

    assert not Team.objects.filter(person=None).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda crew: Membership.objects.filter(pk=crew.owner.pk).update(role=Role.ADMIN),
        lambda crew: Membership.objects.filter(team=crew.team).delete(),
        lambda crew: Team.objects.create(name="Nobody's"),
    ],
)
def test_a_team_without_an_owner_does_not_commit(
    acme: Crew, change: Callable[[Crew], object]
) -> None:
    def commit() -> None:
        with transaction.atomic():
            change(acme)
            check_now()

    with pytest.raises(IntegrityError, match="has no owner"):
        commit()


def test_a_person_is_in_a_team_once(acme: Crew) -> None:
    with pytest.raises(IntegrityError, match="member_is_in_a_team_once"), transaction.atomic():
        join(acme.team, acme.developer.user, Role.ADMIN)


def test_what_was_written_down_stays(acme: Crew) -> None:
    for change in (
        lambda: TeamEvent.objects.update(subject="x"),
        lambda: TeamEvent.objects.all().delete(),
    ):
        with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
            change()


def test_only_an_owner_changes_roles_and_the_change_is_written_down(acme: Crew) -> None:
    changed = change_role(acme.owner, acme.developer.user, Role.BILLING)

    assert changed.role == Role.BILLING
    event = TeamEvent.objects.filter(action=Action.ROLE_CHANGED).get()
    assert (event.member, event.before, event.after) == (
        acme.developer.user,
        {"role": "developer"},
        {"role": "billing"},
    )
    for seat in (acme.admin, acme.billing, acme.developer):
        with pytest.raises(NotAllowed):
            change_role(seat, acme.admin.user, Role.DEVELOPER)


def test_who_may_do_something_is_listed_once_and_in_the_order_of_joining(acme: Crew) -> None:
    assert list(members_who(acme.team, Deed.GET_MONEY_MAIL)) == [
        acme.owner.user,
        acme.billing.user,
    ]


def test_a_role_that_was_taken_meanwhile_allows_nothing(acme: Crew) -> None:
    stale = Membership.objects.get(pk=acme.owner.pk)
    hand_over(acme.owner, acme.admin.user)

    with pytest.raises(NotAllowed):
        rename_team(stale, "Mine again")


def test_ownership_is_handed_over(acme: Crew) -> None:
    hand_over(acme.owner, acme.developer.user)

    roles = dict(acme.team.memberships.values_list("user__email", "role"))
    assert roles[acme.developer.user.email] == Role.OWNER
    assert roles[acme.owner.user.email] == Role.ADMIN


def test_the_last_owner_keeps_the_role(acme: Crew) -> None:
    with pytest.raises(LastOwner):
        change_role(acme.owner, acme.owner.user, Role.ADMIN)


def test_strangers_find_no_seat_and_change_nothing(acme: Crew, bob: User) -> None:
    assert find_seat(bob, str(acme.team.public_id)) is None

    with pytest.raises(NotAMember):
        change_role(acme.owner, bob, Role.ADMIN)


def test_nothing_changes_in_a_closed_team(acme: Crew) -> None:
    Team.objects.filter(pk=acme.team.pk).update(closed_at="2026-11-01T00:00:00Z")

    with pytest.raises(TeamClosed):
        rename_team(acme.owner, "Other")
    assert find_seat(acme.owner.user, str(acme.team.public_id)) is None


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_step_down_at_once_one_stays(acme: Crew) -> None:
    change_role(acme.owner, acme.admin.user, Role.OWNER)
    both = [acme.owner, Membership.objects.get(pk=acme.admin.pk)]

    def step_down(seat: Membership) -> bool:
        try:
            change_role(seat, seat.user, Role.DEVELOPER)
        except LastOwner:
            return False
        return True

    outcomes = race(
        [lambda seat=seat: step_down(seat) for seat in both],  # type: ignore[misc]
        meet_at='UPDATE "accounts_membership"',
    )

    assert sorted(outcomes) == [False, True]
    assert acme.team.memberships.filter(role=Role.OWNER).count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_database_lets_the_second_of_two_owners_wait_and_then_refuses_it(acme: Crew) -> None:
    change_role(acme.owner, acme.admin.user, Role.OWNER)

    def step_down(pk: int) -> bool:
        try:
            with transaction.atomic():
                Membership.objects.filter(pk=pk).update(role=Role.DEVELOPER)
        except IntegrityError:
            return False
        return True

    outcomes = race(
        [lambda pk=pk: step_down(pk) for pk in (acme.owner.pk, acme.admin.pk)],  # type: ignore[misc]
        meet_at='UPDATE "accounts_membership"',
    )

    assert sorted(outcomes) == [False, True]
