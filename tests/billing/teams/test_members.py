import pytest

from accounts.models import ApiKey, Membership, Role, TeamEvent, User
from accounts.teams.events import Action
from accounts.teams.exceptions import LastOwner, NotAllowed, NotAMember, TeamRefused
from accounts.teams.members import change_role, own_seat, own_team
from billing.exceptions import InvalidAmount
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import get_wallet
from billing.models import Wallet
from billing.teams.members import leave_team, remove_member, set_member_caps
from proxy.serving.keys import EndedKey, KeyFacts, load_key
from tests.racing import race
from tests.teams import Crew, join


def digest(seat: Membership) -> str:
    key, _ = issue_api_key(seat, name="Laptop")
    return key.digest


def version(crew: Crew) -> int:
    return Wallet.objects.get(team=crew.team).version


def test_a_key_spends_from_the_wallet_of_the_team_it_was_made_in(acme: Crew) -> None:
    facts = load_key(digest(acme.developer))

    assert isinstance(facts, KeyFacts)
    assert facts.wallet_id == get_wallet(acme.team).pk
    assert (facts.about.team_id, facts.about.team_name) == (str(acme.team.public_id), "Acme")


def test_the_keys_of_a_removed_member_end_at_once(acme: Crew) -> None:
    ended, kept = digest(acme.developer), digest(acme.admin)
    before = version(acme)

    remove_member(acme.admin, acme.developer.user, keeps_keys=False)

    assert isinstance(load_key(ended), EndedKey)
    assert isinstance(load_key(kept), KeyFacts)
    assert version(acme) > before
    assert not acme.team.memberships.filter(user=acme.developer.user).exists()


def test_the_keys_of_a_removed_member_pass_to_the_team_if_so_chosen(acme: Crew) -> None:
    passed = digest(acme.developer)

    remove_member(acme.admin, acme.developer.user, keeps_keys=True)
    User.objects.filter(pk=acme.developer.user.pk).update(is_active=False)

    assert isinstance(load_key(passed), KeyFacts)
    event = TeamEvent.objects.get(action=Action.MEMBER_REMOVED)
    assert (event.actor, event.member) == (acme.admin.user, acme.developer.user)
    assert event.after == {"keys": "passed to the team"}


def test_the_keys_of_somebody_who_may_not_log_in_do_not_work(acme: Crew) -> None:
    secret = digest(acme.developer)

    User.objects.filter(pk=acme.developer.user.pk).update(is_active=False)

    assert isinstance(load_key(secret), EndedKey)


def test_a_member_who_leaves_takes_the_keys_along(acme: Crew) -> None:
    ended = digest(acme.developer)

    leave_team(acme.developer)

    assert isinstance(load_key(ended), EndedKey)
    assert TeamEvent.objects.get(action=Action.MEMBER_LEFT).member == acme.developer.user


def test_who_is_not_in_the_team_any_more_makes_no_key_there(acme: Crew) -> None:
    remove_member(acme.admin, acme.developer.user, keeps_keys=False)

    with pytest.raises(NotAMember):
        issue_api_key(acme.developer, name="Late")


def test_billing_makes_no_keys(acme: Crew) -> None:
    with pytest.raises(NotAllowed):
        issue_api_key(acme.billing, name="Mine")


def test_an_owner_is_removed_by_owners_alone_and_never_the_last(acme: Crew) -> None:
    with pytest.raises(NotAllowed):
        remove_member(acme.admin, acme.owner.user, keeps_keys=False)
    with pytest.raises(LastOwner):
        leave_team(acme.owner)
    with pytest.raises(TeamRefused):
        remove_member(acme.owner, acme.owner.user, keeps_keys=False)


def test_nobody_leaves_a_team_in_which_they_are_alone(alice: User) -> None:
    with pytest.raises(TeamRefused):
        leave_team(own_seat(alice))


def test_who_leaves_their_own_team_to_others_gets_a_new_one(alice: User, bob: User) -> None:
    old = own_team(alice)
    key, _ = issue_api_key(own_seat(alice), name="Mine")
    join(old, bob, Role.OWNER)

    leave_team(own_seat(alice))

    old.refresh_from_db()
    assert (old.person, bool(old.name)) == (None, True)
    assert own_team(alice) != old
    key.refresh_from_db()
    assert key.team == old
    assert key.revoked_at is not None


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays(acme: Crew) -> None:
    change_role(acme.owner, acme.admin.user, Role.OWNER)
    both = [acme.owner, Membership.objects.get(pk=acme.admin.pk)]

    def leave(seat: Membership) -> bool:
        try:
            leave_team(seat)
        except LastOwner:
            return False
        return True

    outcomes = race(
        [lambda seat=seat: leave(seat) for seat in both],  # type: ignore[misc]
        meet_at='DELETE FROM "accounts_membership"',
    )

    assert sorted(outcomes) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_a_key_made_while_its_maker_is_removed_does_not_work(acme: Crew) -> None:
    def make() -> str:
        try:
            return digest(acme.developer)
        except NotAMember:
            return ""

    def remove() -> str:
        remove_member(acme.admin, acme.developer.user, keeps_keys=False)
        return ""

    race([make, remove], meet_at="FOR NO KEY UPDATE")

    assert not ApiKey.objects.filter(team=acme.team, revoked_at=None).exists()


def test_caps_are_set_at_once_and_written_down(acme: Crew) -> None:
    digest(acme.developer)
    before = version(acme)

    caps = {"lifetime_cap_credits": 500, "monthly_cap_credits": None}
    seat = set_member_caps(acme.admin, acme.developer.user, **caps)
    set_member_caps(acme.admin, acme.developer.user, **caps)

    assert seat.lifetime_cap_credits == 500
    assert version(acme) == before + 1
    event = TeamEvent.objects.get(action=Action.CAPS_CHANGED)
    assert event.before == {"lifetime_cap_credits": None, "monthly_cap_credits": None}
    assert event.after == caps


def test_caps_are_set_by_those_who_manage_members_within_what_credits_can_be(acme: Crew) -> None:
    caps = {"lifetime_cap_credits": -1, "monthly_cap_credits": None}
    with pytest.raises(InvalidAmount):
        set_member_caps(acme.admin, acme.developer.user, **caps)
    for seat in (acme.developer, acme.billing):
        with pytest.raises(NotAllowed):
            set_member_caps(seat, seat.user, lifetime_cap_credits=None, monthly_cap_credits=None)
    with pytest.raises(NotAllowed):
        set_member_caps(
            acme.admin, acme.owner.user, lifetime_cap_credits=1, monthly_cap_credits=None
        )
