"""The page where a customer chooses what is mailed."""

import re

import pytest
from django.test import Client

from accounts.models import Membership, Role, User
from accounts.teams.members import own_seat, own_team
from billing.models import Notice, Webhook
from billing.notices.low_balance import get_notification_settings
from billing.notices.webhooks.switches import Choice, make_webhook
from tests.billing.views.conftest import NOON
from tests.teams import Crew

PAGE = "/dashboard/settings/notifications/"


def add_webhook(seat: Membership) -> Webhook:
    return make_webhook(seat, Choice("https://example.com/hook", "json", ("key.made",), 1_000))[0]


def test_it_shows_what_is_in_force(as_alice: Client) -> None:
    page = as_alice.get(PAGE).content.decode()

    assert 'value="100,000"' in page
    assert page.count("checked") == 4
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


def test_a_webhook_has_a_column_in_which_its_kinds_are_chosen(
    as_alice: Client, alice: User
) -> None:
    hook = add_webhook(own_seat(alice))
    page = as_alice.get(PAGE).content.decode()

    as_alice.post(
        PAGE,
        {
            "low_balance_credits": "100000",
            "shown": [hook.pk],
            "webhooks": [f"{hook.pk} balance.low", f"{hook.pk} order.paid"],
        },
    )

    assert re.search(rf'value="{hook.pk} key.made"[^>]*checked', page)
    assert not re.search(rf'value="{hook.pk} order.paid"[^>]*checked', page)
    hook.refresh_from_db()
    assert set(hook.kinds) == {"balance.low", "order.paid"}


def test_a_webhook_that_the_page_did_not_show_stays_as_it_is(as_alice: Client, alice: User) -> None:
    hook = add_webhook(own_seat(alice))

    as_alice.post(PAGE, {"low_balance_credits": "100000"})

    hook.refresh_from_db()
    assert hook.kinds == ["key.made"]


@pytest.mark.parametrize("choice", ["{pk} no.such", "0 key.made", "{pk}"])
def test_a_kind_or_webhook_that_there_is_not_changes_nothing(
    as_alice: Client, alice: User, choice: str
) -> None:
    hook = add_webhook(own_seat(alice))
    wrong = {
        "low_balance_credits": "5",
        "shown": [hook.pk],
        "webhooks": [choice.format(pk=hook.pk)],
    }

    assert as_alice.post(PAGE, wrong).status_code == 400

    hook.refresh_from_db()
    assert hook.kinds == ["key.made"]
    assert get_notification_settings(own_team(alice), alice).low_balance_credits == 100_000


@pytest.mark.parametrize(
    ("role", "mails", "hooks"),
    [
        (Role.OWNER, True, True),
        (Role.ADMIN, False, True),
        (Role.BILLING, True, False),
        (Role.DEVELOPER, False, False),
    ],
)
def test_each_role_chooses_what_is_its_to_choose(
    acme: Crew, role: Role, mails: bool, hooks: bool
) -> None:
    hook = add_webhook(acme.owner)
    browser, page = acme.browser(role), acme.page("settings/notifications/")

    shown = browser.get(page).content.decode()
    chosen = {"low_balance_credits": "5", "shown": [hook.pk], "webhooks": [f"{hook.pk} order.paid"]}
    status = browser.post(page, chosen).status_code

    assert ('name="wants_low_balance"' in shown, 'name="webhooks"' in shown) == (mails, hooks)
    assert status == (302 if mails or hooks else 403)
    hook.refresh_from_db()
    assert (hook.kinds == ["order.paid"]) is hooks
    known = get_notification_settings(acme.team, acme.person(role))
    assert (known.low_balance_credits == 5) is mails
