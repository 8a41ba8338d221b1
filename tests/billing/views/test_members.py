"""The page of one member: role, caps, handing over, removing."""

import pytest
from django.test import Client

from accounts.models import ApiKey, Membership, Role, TeamEvent, User
from billing.keys.api_keys import issue_api_key
from billing.models import Notice
from tests.teams import Crew, make_crew

OWNER, ADMIN, DEVELOPER, BILLING = Role.OWNER, Role.ADMIN, Role.DEVELOPER, Role.BILLING


def of(crew: Crew, role: Role, deed: str = "") -> str:
    """Return the address of a member's page, or of something done there."""
    return crew.page(f"team/members/{crew.seats[role].pk}/{deed}")


def now(crew: Crew, role: Role) -> Membership:
    return Membership.objects.get(pk=crew.seats[role].pk)


def test_caps_are_set_and_shown(acme: Crew) -> None:
    browser = acme.browser(ADMIN)

    answer = browser.post(
        of(acme, DEVELOPER, "caps/"), {"monthly_cap_credits": "5000", "lifetime_cap_credits": ""}
    )

    assert answer["Location"] == of(acme, DEVELOPER)
    assert now(acme, DEVELOPER).monthly_cap_credits == 5_000
    assert now(acme, DEVELOPER).lifetime_cap_credits is None
    assert 'value="5,000"' in browser.get(of(acme, DEVELOPER)).content.decode()
    assert "of 5,000" in acme.browser(DEVELOPER).get(acme.page("team/")).content.decode()


@pytest.mark.parametrize("cap", ["-1", "many", "1.5", str(10**30)])
def test_a_cap_that_makes_no_sense_changes_nothing(acme: Crew, cap: str) -> None:
    answer = acme.browser(OWNER).post(of(acme, DEVELOPER, "caps/"), {"monthly_cap_credits": cap})

    assert answer.status_code == 400
    assert now(acme, DEVELOPER).monthly_cap_credits is None


def test_a_new_role_is_in_force_and_mailed_once(acme: Crew) -> None:
    for _ in range(2):
        acme.browser(OWNER).post(of(acme, DEVELOPER, "role/"), {"role": "billing"})

    assert now(acme, DEVELOPER).role == BILLING
    assert Notice.objects.get(kind="team_role_changed").user == acme.person(DEVELOPER)
    assert acme.browser(DEVELOPER).get(acme.page("keys/")).status_code == 403
    assert acme.browser(DEVELOPER).get(acme.page("orders/")).status_code == 200


def test_there_is_no_role_beside_the_four(acme: Crew) -> None:
    answer = acme.browser(OWNER).post(of(acme, DEVELOPER, "role/"), {"role": "king"})

    assert answer.status_code == 400
    assert now(acme, DEVELOPER).role == DEVELOPER


def test_the_only_owner_stays_one(acme: Crew) -> None:
    answer = acme.browser(OWNER).post(of(acme, OWNER, "role/"), {"role": "admin"}, follow=True)

    assert "A team needs an owner" in answer.content.decode()
    assert now(acme, OWNER).role == OWNER


def test_handing_over_swaps_the_roles_and_mails_both(acme: Crew) -> None:
    acme.browser(OWNER).post(of(acme, ADMIN, "hand-over/"))

    assert now(acme, ADMIN).role == OWNER
    assert now(acme, OWNER).role == ADMIN
    mailed = Notice.objects.filter(kind="team_handed_over")
    assert {notice.user for notice in mailed} == {acme.person(OWNER), acme.person(ADMIN)}


@pytest.mark.parametrize(("keys", "is_kept"), [("end", False), ("pass", True)])
def test_removing_ends_the_keys_or_passes_them_on(acme: Crew, keys: str, is_kept: bool) -> None:
    key, _ = issue_api_key(acme.seats[DEVELOPER], name="theirs")

    answer = acme.browser(ADMIN).post(of(acme, DEVELOPER, "remove/"), {"keys": keys})

    key = ApiKey.objects.get(pk=key.pk)
    assert answer["Location"] == acme.page("team/")
    assert (key.revoked_at is None) is is_kept
    assert key.is_left_to_team is is_kept
    assert acme.browser(DEVELOPER).get(acme.page()).status_code == 404
    mailed = Notice.objects.get(kind="team_removed")
    assert (mailed.user, mailed.facts["keeps_keys"]) == (acme.person(DEVELOPER), is_kept)


def test_removing_asks_what_becomes_of_the_keys(acme: Crew) -> None:
    answer = acme.browser(ADMIN).post(of(acme, DEVELOPER, "remove/"))

    assert answer.status_code == 400
    assert "Choose what becomes of their keys." in answer.content.decode()
    assert now(acme, DEVELOPER)


@pytest.mark.parametrize("deed", ["", "caps/", "role/", "hand-over/", "remove/"])
def test_nobody_but_an_owner_touches_an_owner(acme: Crew, deed: str) -> None:
    before = TeamEvent.objects.count()
    data = {"role": "admin", "keys": "end", "monthly_cap_credits": "1"}

    for method in ("get", "post"):
        answer = getattr(acme.browser(ADMIN), method)(of(acme, OWNER, deed), data)
        assert answer.status_code in {403, 405}

    assert TeamEvent.objects.count() == before
    assert now(acme, OWNER).role == OWNER


def test_a_member_of_another_team_is_not_found(acme: Crew, bob: User) -> None:
    other = make_crew("Beta", bob)

    answer = acme.browser(OWNER).post(
        acme.page(f"team/members/{other.seats[DEVELOPER].pk}/remove/"), {"keys": "end"}
    )

    assert answer.status_code == 404
    assert now(other, DEVELOPER)


def test_a_removed_member_acts_no_more_from_an_open_page(acme: Crew) -> None:
    stale = acme.browser(ADMIN)
    stale.get(of(acme, DEVELOPER))
    acme.browser(OWNER).post(of(acme, ADMIN, "remove/"), {"keys": "end"})

    answer = stale.post(of(acme, DEVELOPER, "remove/"), {"keys": "end"})

    assert answer.status_code == 404
    assert now(acme, DEVELOPER)


@pytest.mark.parametrize(
    "path", ["team/invitations/", "team/close/", "team/members/{}/caps/", "team/members/{}/role/"]
)
def test_a_session_that_was_left_open_changes_nobodys_rights(acme: Crew, path: str) -> None:
    stale = Client()
    stale.force_login(acme.person(OWNER))
    before = TeamEvent.objects.count()
    typed = {"email": "new@example.com", "role": "owner", "name": "Acme"}

    answer = stale.post(acme.page(path.format(acme.seats[DEVELOPER].pk)), typed)

    assert "/accounts/reauthenticate/" in answer["Location"]
    assert TeamEvent.objects.count() == before
