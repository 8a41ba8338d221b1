from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Invitation, Membership, Role, TeamEvent, User
from accounts.teams.exceptions import InvitationRefused, NotAllowed
from accounts.teams.invitations import (
    MOST_BY_PERSON,
    MOST_TO_ADDRESS,
    accept,
    find_invitation,
    find_invitation_to,
    invitations_to,
    invite,
    open_invitations,
    revoke_invitation,
)
from tests.racing import race
from tests.teams import Crew, confirm, confirmed


def test_the_invited_person_joins_with_the_role_that_was_chosen(acme: Crew) -> None:
    dora = confirmed("dora")
    invitation, _ = invite(acme.admin, " Dora@Example.com", Role.DEVELOPER)

    seat = accept(dora, invitation)

    invitation.refresh_from_db()
    assert (seat.team, seat.role) == (acme.team, Role.DEVELOPER)
    assert invitation.accepted_by == dora
    deeds = TeamEvent.objects.filter(invitation=invitation).order_by("pk")
    assert list(deeds.values_list("action", "actor__email")) == [
        ("member_invited", acme.admin.user.email),
        ("member_joined", dora.email),
    ]


def test_only_the_digest_of_the_link_is_kept(acme: Crew) -> None:
    _, secret = invite(acme.admin, "dora@example.com", Role.DEVELOPER)

    assert len(secret) > 40
    assert secret not in str(Invitation.objects.values().get())


def test_a_link_is_used_once(acme: Crew) -> None:
    dora = confirmed("dora")
    invitation, secret = invite(acme.admin, dora.email, Role.DEVELOPER)
    accept(dora, invitation)
    Membership.objects.filter(user=dora, team=acme.team).delete()

    with pytest.raises(InvitationRefused):
        accept(dora, invitation)
    assert find_invitation(secret) is None


@pytest.mark.django_db(transaction=True)
def test_a_link_that_is_used_twice_at_once_is_used_once(acme: Crew) -> None:
    dora = confirmed("dora")
    invitation, _ = invite(acme.admin, dora.email, Role.DEVELOPER)

    def join() -> bool:
        try:
            accept(dora, invitation)
        except InvitationRefused:
            return False
        return True

    assert sorted(race([join, join], meet_at="FOR NO KEY UPDATE")) == [False, True]
    assert Membership.objects.filter(team=acme.team, user=dora).count() == 1


def test_a_link_is_of_no_use_to_another_person(acme: Crew) -> None:
    invitation, secret = invite(acme.admin, "dora@example.com", Role.DEVELOPER)

    with pytest.raises(InvitationRefused):
        accept(confirmed("eve"), invitation)

    assert find_invitation(secret) is not None


def test_an_address_that_is_not_confirmed_does_not_join(acme: Crew, bob: User) -> None:
    invitation, _ = invite(acme.admin, bob.email, Role.DEVELOPER)

    with pytest.raises(InvitationRefused):
        accept(bob, invitation)

    assert accept(confirm(bob), invitation).team == acme.team


def test_a_link_ends_after_seven_days(acme: Crew) -> None:
    dora = confirmed("dora")
    invitation, secret = invite(acme.admin, dora.email, Role.DEVELOPER)
    assert invitation.expires_at - invitation.created_at == timedelta(days=7)
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))

    with pytest.raises(InvitationRefused):
        accept(dora, invitation)
    assert open_invitations(acme.team) == []
    assert find_invitation(secret) is None


def test_a_confirmed_address_needs_no_link(acme: Crew, bob: User) -> None:
    invitation, _ = invite(acme.admin, bob.email, Role.DEVELOPER)
    other, _ = invite(acme.admin, "eve@example.com", Role.DEVELOPER)

    unconfirmed = invitations_to(bob), find_invitation_to(bob, invitation.pk)
    confirm(bob)

    assert unconfirmed == ([], None)
    assert invitations_to(bob) == [invitation]
    assert find_invitation_to(bob, other.pk) is None
    assert find_invitation_to(bob, invitation.pk) == invitation
    assert accept(bob, invitation).team == acme.team
    assert invitations_to(bob) == []


def test_a_withdrawn_link_ends(acme: Crew) -> None:
    dora = confirmed("dora")
    invitation, secret = invite(acme.admin, dora.email, Role.DEVELOPER)

    assert revoke_invitation(acme.owner, invitation)
    assert not revoke_invitation(acme.owner, invitation)
    with pytest.raises(InvitationRefused):
        accept(dora, invitation)
    assert find_invitation(secret) is None


def test_a_second_invitation_takes_the_place_of_the_first(acme: Crew) -> None:
    dora = confirmed("dora")
    first, _ = invite(acme.admin, dora.email, Role.ADMIN)
    second, _ = invite(acme.admin, dora.email, Role.DEVELOPER)

    with pytest.raises(InvitationRefused):
        accept(dora, first)
    assert accept(dora, second).role == Role.DEVELOPER


def test_a_link_ends_with_the_power_of_whoever_sent_it(acme: Crew) -> None:
    dora = confirmed("dora")
    invitation, _ = invite(acme.admin, dora.email, Role.ADMIN)
    Membership.objects.filter(pk=acme.admin.pk).update(role=Role.DEVELOPER)

    with pytest.raises(InvitationRefused):
        accept(dora, invitation)


@pytest.mark.parametrize("role", [Role.DEVELOPER, Role.BILLING])
def test_who_manages_no_members_invites_nobody(acme: Crew, role: Role) -> None:
    with pytest.raises(NotAllowed):
        invite(acme.seats[role], "dora@example.com", Role.DEVELOPER)


def test_an_admin_makes_nobody_an_owner(acme: Crew) -> None:
    with pytest.raises(NotAllowed):
        invite(acme.admin, "dora@example.com", Role.OWNER)


@pytest.mark.parametrize("email", ["", "dora", "dora@", "a b@example.com"])
def test_only_addresses_are_invited(acme: Crew, email: str) -> None:
    with pytest.raises(InvitationRefused):
        invite(acme.admin, email, Role.DEVELOPER)


def test_a_member_is_not_invited_again(acme: Crew) -> None:
    with pytest.raises(InvitationRefused):
        invite(acme.admin, acme.developer.user.email, Role.ADMIN)


def test_whose_address_is_not_confirmed_invites_nobody(bob: User, acme: Crew) -> None:
    Membership.objects.create(team=acme.team, user=bob, role=Role.ADMIN)

    with pytest.raises(InvitationRefused):
        invite(Membership.objects.get(user=bob, team=acme.team), "d@example.com", Role.DEVELOPER)


def test_invitations_are_counted_by_person_and_by_address(acme: Crew) -> None:
    for _ in range(MOST_TO_ADDRESS):
        invite(acme.admin, "dora@example.com", Role.DEVELOPER)
    with pytest.raises(InvitationRefused):
        invite(acme.owner, "dora@example.com", Role.DEVELOPER)

    for number in range(MOST_BY_PERSON - MOST_TO_ADDRESS):
        invite(acme.admin, f"d{number}@example.com", Role.DEVELOPER)
    with pytest.raises(InvitationRefused):
        invite(acme.admin, "last@example.com", Role.DEVELOPER)
