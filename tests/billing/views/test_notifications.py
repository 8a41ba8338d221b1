"""The page where a customer chooses what is mailed."""

from django.test import Client

from accounts.models import User
from accounts.teams.members import own_team
from billing.models import Notice
from billing.notices.low_balance import get_notification_settings
from tests.billing.views.conftest import NOON

PAGE = "/dashboard/settings/notifications/"


def test_it_shows_what_is_in_force(as_alice: Client) -> None:
    page = as_alice.get(PAGE).content.decode()

    assert 'value="100,000"' in page
    assert page.count("checked") == 3
    assert "alice@example.com" in page


def test_a_choice_is_kept(as_alice: Client, alice: User) -> None:
    answer = as_alice.post(PAGE, {"low_balance_credits": "250000", "wants_low_balance": "on"})

    assert answer.status_code == 302
    known = get_notification_settings(own_team(alice), alice)
    assert known.low_balance_credits == 250_000
    assert (known.wants_low_balance, known.wants_lot_expiring) == (True, False)


def test_a_threshold_that_makes_no_sense_changes_nothing(as_alice: Client, alice: User) -> None:
    for nonsense in ("0", "-5", "many", "", str(10**13)):
        assert as_alice.post(PAGE, {"low_balance_credits": nonsense}).status_code == 400

    assert get_notification_settings(own_team(alice), alice).low_balance_credits == 100_000
    assert get_notification_settings(own_team(alice), alice).wants_lot_expiring


def test_it_lists_the_latest_mails_of_this_customer(
    as_alice: Client, alice: User, bob: User
) -> None:
    Notice.objects.create(
        user=alice, kind="new_key", reference="1", sent_at=NOON, sent_to=alice.email
    )
    Notice.objects.create(user=bob, kind="refund", reference="2", sent_at=NOON, sent_to=bob.email)

    page = as_alice.get(PAGE).content.decode()

    assert "New key" in page
    assert "bob@example.com" not in page


def test_who_is_not_logged_in_goes_to_the_log_in_page(as_charlie: Client) -> None:
    assert as_charlie.get(PAGE).headers["Location"].startswith("/accounts/login/")
