"""The pages of a team: what each role sees of it and does in it."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Membership, Role, Team, User
from accounts.teams.members import own_seat, own_team
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import get_wallet
from billing.models import MemberSpending, Notice, Pack
from billing.teams.spending import Spent, spending_by_member
from billing.wallet.usage import month_of
from tests.billing.views.conftest import NOON
from tests.conftest import signed_in
from tests.teams import Crew, join

OWNER, ADMIN, DEVELOPER, BILLING = Role.OWNER, Role.ADMIN, Role.DEVELOPER, Role.BILLING
BAD_NAME = "<script>alert(1)</script>\u202e'\"{{ 7 }}"


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined, no-any-return]


def spend(seat: Membership, credits: int, *, at: datetime = NOON) -> None:
    """Book what a member spent in one month, long ago if it is not said when."""
    month = month_of(int(at.timestamp() * 1_000))
    MemberSpending.objects.create(
        wallet=get_wallet(seat.team), member=seat.user, month=month, charged_credits=credits
    )


def test_who_is_alone_sees_no_team_but_a_way_to_make_one(as_alice: Client) -> None:
    pages = [text(as_alice.get(page)) for page in ("/dashboard/", "/dashboard/keys/", "/packs/")]
    account = text(as_alice.get("/dashboard/settings/profile/"))

    assert [page for page in pages if "team" in page.lower()] == []
    assert account.count("Create a team") == 1


def test_founding_a_team_leads_to_its_invitations(as_alice: Client, alice: User) -> None:
    answer = as_alice.post("/dashboard/team/new/", {"name": "  Acme   Ltd "})

    team = Team.objects.get(name="Acme Ltd")
    assert answer["Location"] == f"/teams/{team.public_id}/dashboard/team/invitations/"
    assert own_team(alice) != team
    assert Membership.objects.get(team=team).role == OWNER


@pytest.mark.parametrize("name", ["", "   ", "x" * 61])
def test_a_team_needs_a_name_that_fits(as_alice: Client, name: str) -> None:
    answer = as_alice.post("/dashboard/team/new/", {"name": name})

    assert answer.status_code == 400
    assert not Team.objects.exclude(name="").exists()


def test_the_switcher_lists_the_teams_of_a_person_in_several(acme: Crew, alice: User) -> None:
    page = text(signed_in(alice).get(acme.page()))

    assert page.count(f'href="{acme.page()}"') >= 2
    assert 'href="/dashboard/"' in page
    assert "Switch to another" in page


def test_the_teams_of_a_page_are_read_once_for_its_header_and_its_menu(
    acme: Crew, alice: User
) -> None:
    browser = signed_in(alice)

    with CaptureQueriesContext(connection) as found:
        page = text(browser.get(acme.page()))

    # In the header, and in the menu of a narrow window.
    assert page.count('<a href="/dashboard/"') == 2
    lists = [
        each["sql"] for each in found if 'ORDER BY "accounts_membership"."joined_at"' in each["sql"]
    ]
    assert len([sql for sql in lists if "LIMIT" not in sql]) == 1


def test_the_members_page_shows_usage_to_those_who_see_everybodys(acme: Crew) -> None:
    spend(acme.seats[OWNER], 1_111)
    spend(acme.seats[DEVELOPER], 2_222)

    for role, seen in {
        OWNER: ("1,111", "2,222"),
        ADMIN: ("1,111", "2,222"),
        DEVELOPER: ("2,222",),
        BILLING: (),
    }.items():
        page = text(acme.browser(role).get(acme.page("team/")))
        assert tuple(each for each in ("1,111", "2,222") if each in page) == seen, role
        assert all(str(seat.user) in page for seat in acme.seats.values())


def test_what_was_spent_adds_up_by_month_and_in_all(acme: Crew) -> None:
    spend(acme.developer, 300, at=NOON - timedelta(days=90))
    spend(acme.developer, 40)
    spend(acme.developer, 5, at=timezone.now())
    spend(own_seat(acme.developer.user), 7_000)

    found = spending_by_member(acme.team)

    assert found == {acme.developer.user_id: Spent(total_credits=345, month_credits=5)}


def test_an_owner_renames_the_team_and_a_bad_name_is_shown_as_it_is(acme: Crew) -> None:
    answer = acme.browser(OWNER).post(acme.page("team/rename/"), {"name": BAD_NAME}, follow=True)

    assert answer.redirect_chain == [(acme.page("team/"), 302)]
    for path in ("", "team/", "team/invitations/", "team/events/", "team/leave/", "team/close/"):
        page = text(acme.browser(OWNER).get(acme.page(path)))
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page


def test_leaving_ends_the_keys_and_leads_to_ones_own_dashboard(acme: Crew) -> None:
    key, _ = issue_api_key(acme.seats[DEVELOPER], name="mine")
    browser = acme.browser(DEVELOPER)

    answer = browser.post(acme.page("team/leave/"))

    key.refresh_from_db()
    assert answer["Location"] == "/dashboard/"
    assert key.revoked_at is not None
    assert browser.get(acme.page()).status_code == 404


def test_the_last_owner_is_told_to_hand_over_first(acme: Crew) -> None:
    answer = acme.browser(OWNER).post(acme.page("team/leave/"), follow=True)

    assert "hand it over to somebody first" in text(answer)
    assert Membership.objects.filter(team=acme.team).count() == 4


def test_closing_wants_the_name_typed_and_mails_every_member(acme: Crew) -> None:
    browser = acme.browser(OWNER)

    mistyped = browser.post(acme.page("team/close/"), {"name": "Acme Inc"})
    assert mistyped.status_code == 400
    answer = browser.post(acme.page("team/close/"), {"name": "Acme"})

    assert answer["Location"] == "/dashboard/"
    acme.team.refresh_from_db()
    assert acme.team.closed_at is not None
    assert Notice.objects.filter(kind="team_closed").count() == 4
    assert browser.get(acme.page()).status_code == 404


def test_ones_own_team_of_one_can_be_neither_left_nor_closed(as_alice: Client, alice: User) -> None:
    for path in ("leave", "close"):
        page = text(as_alice.get(f"/dashboard/team/{path}/"))
        as_alice.post(f"/dashboard/team/{path}/", {"name": str(own_team(alice))})
        assert "delete your account" in page

    assert own_team(alice).closed_at is None


def test_a_second_member_of_ones_own_team_brings_the_words(
    alice: User, bob: User, as_alice: Client
) -> None:
    join(own_team(alice), bob, DEVELOPER)

    page = text(as_alice.get("/dashboard/"))

    assert 'href="/dashboard/team/"' in page


def test_keys_say_whose_they_are_to_those_who_see_them_all(acme: Crew) -> None:
    issue_api_key(acme.seats[DEVELOPER], name="Developer's")
    issue_api_key(acme.seats[ADMIN], name="Admin's")
    developer = str(acme.person(DEVELOPER))

    owners = text(acme.browser(OWNER).get(acme.page("keys/")))
    theirs = text(acme.browser(DEVELOPER).get(acme.page("keys/")))

    assert developer in owners
    assert "Admin&#x27;s" in owners
    assert "Admin&#x27;s" not in theirs


def test_usage_is_filtered_by_member_for_those_who_see_everybodys(acme: Crew) -> None:
    member = acme.person(DEVELOPER).pk

    assert 'name="member"' in text(acme.browser(ADMIN).get(acme.page("usage/")))
    assert 'name="member"' not in text(acme.browser(DEVELOPER).get(acme.page("usage/")))
    for who in (member, own_team(acme.person(DEVELOPER)).pk + 10**6):
        status = acme.browser(ADMIN).get(acme.page("usage/"), {"member": who}).status_code
        assert status == (200 if who == member else 400)


def test_the_order_s_page_says_for_which_team(acme: Crew, starter: Pack) -> None:
    path = f"/teams/{acme.team.public_id}/billing/checkout/starter/"

    assert "For the team" in text(acme.browser(BILLING).get(path))
    assert "For the team" not in text(acme.browser(BILLING).get("/billing/checkout/starter/"))


@pytest.mark.parametrize("role", Role)
def test_what_a_role_may_not_do_is_not_shown(acme: Crew, starter: Pack, role: Role) -> None:
    browser = acme.browser(role)
    packs = text(browser.get(f"/teams/{acme.team.public_id}/packs/"))
    overview = text(browser.get(acme.page()))
    team = text(browser.get(acme.page("team/")))

    assert ("Buy Starter" in packs) == (role in {OWNER, BILLING})
    assert ("Buy credits" in overview) == (role in {OWNER, BILLING})
    assert ("/dashboard/orders/" in overview) == (role in {OWNER, BILLING})
    assert ("/dashboard/keys/" in overview) == (role != BILLING)
    assert ("Invite people" in team) == (role in {OWNER, ADMIN})
    assert ("Audit trail" in team) == (role in {OWNER, ADMIN})
    assert ("Rename" in team) == (role == OWNER)
    assert ("Close the team" in team) == (role == OWNER)
    assert "Leave the team" in team
