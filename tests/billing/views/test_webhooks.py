"""The pages of webhooks: added, tried out, looked at and removed by owners and admins."""

import re

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import Role, TeamEvent, User
from accounts.teams.members import own_seat
from billing.models import Webhook, WebhookDelivery
from billing.notices.webhooks.deliveries import write_test
from billing.notices.webhooks.kinds import TEST
from billing.notices.webhooks.switches import Choice, make_webhook, switch_webhook
from billing.views.webhooks import MOST_SENT_BY_HAND
from tests.teams import Crew

PAGE = "/dashboard/settings/webhooks/"
FORM = {
    "url": "https://hooks.example.com/services/secret-path",
    "form": "json",
    "kinds": ["key.made", "order.paid"],
    "low_balance_credits": "250,000",
}
SECRET = re.compile(r"whsec_[\w+/=]{40,}")


@pytest.fixture(autouse=True)
def no_limits() -> None:
    cache.clear()


@pytest.fixture
def hook(alice: User) -> Webhook:
    choice = Choice("https://hooks.example.com/a", "json", ("key.made",), 1_000)
    return make_webhook(own_seat(alice), choice)[0]


def test_a_secret_is_shown_once(as_alice: Client) -> None:
    made = as_alice.post(f"{PAGE}new/", FORM).content.decode()
    hook = Webhook.objects.get()
    later = as_alice.get(f"{PAGE}{hook.pk}/").content.decode()

    assert len(set(SECRET.findall(made))) == 1
    assert SECRET.findall(later) == []
    assert (hook.kinds, hook.low_balance_credits) == (["key.made", "order.paid"], 250_000)


def test_slack_needs_no_secret(as_alice: Client) -> None:
    made = as_alice.post(f"{PAGE}new/", {**FORM, "form": "slack"}).content.decode()

    assert SECRET.findall(made) == []


def test_a_renewed_secret_is_shown_once_and_says_until_when_the_old_one_signs(
    as_alice: Client, hook: Webhook
) -> None:
    page = as_alice.post(f"{PAGE}{hook.pk}/renew/").content.decode()

    assert SECRET.findall(page)
    assert "with the secret before, too" in page


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://example.com/"},
        {"url": "https://10.0.0.1/"},
        {"url": ""},
        {"form": "xml"},
        {"kinds": ["no.such"]},
        {"low_balance_credits": "0"},
    ],
)
def test_what_makes_no_sense_is_said_and_changes_nothing(
    as_alice: Client, hook: Webhook, wrong: dict[str, object]
) -> None:
    answers = [
        as_alice.post(f"{PAGE}{path}", {**FORM, **wrong}) for path in ("new/", f"{hook.pk}/")
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert all("errorlist" in answer.content.decode() for answer in answers)
    assert list(Webhook.objects.values_list("url", flat=True)) == [hook.url]


def test_the_trail_and_the_list_name_the_host_and_not_the_path(
    as_alice: Client,
) -> None:
    as_alice.post(f"{PAGE}new/", FORM)

    event = TeamEvent.objects.get(action="webhook_made")
    assert event.subject == "hooks.example.com"
    assert "secret-path" not in str(event.after)
    assert "secret-path" not in as_alice.get(PAGE).content.decode()


def test_a_test_is_written_down_and_its_body_can_be_read(as_alice: Client, hook: Webhook) -> None:
    as_alice.post(f"{PAGE}{hook.pk}/test/")
    sent = WebhookDelivery.objects.get()

    listed = as_alice.get(f"{PAGE}{hook.pk}/").content.decode()
    page = as_alice.get(f"/dashboard/settings/deliveries/{sent.pk}/").content.decode()

    assert sent.kind == TEST
    assert "Waiting" in listed
    assert "&quot;webhook.test&quot;" in page
    assert sent.message_id in page


def test_a_german_reader_has_the_reason_in_german_and_the_systems_words_below(
    as_alice: Client, hook: Webhook
) -> None:
    delivery = write_test(hook)
    went = {"failure": "refused", "error": "Connection refused", "latency_ms": 3}
    WebhookDelivery.objects.update(tried_at=timezone.now(), **went)
    as_alice.post("/language/", {"language": "de"})

    log = as_alice.get(f"/dashboard/settings/webhooks/{hook.pk}/").content.decode()
    page = as_alice.get(f"/dashboard/settings/deliveries/{delivery.pk}/").content.decode()

    assert "Die Verbindung wurde abgelehnt" in log
    assert "Connection refused" not in log
    assert "Die Verbindung wurde abgelehnt" in page
    assert '<bdi lang="en">Connection refused</bdi>' in page


def test_what_was_given_up_is_sent_again(as_alice: Client, hook: Webhook) -> None:
    sent = write_test(hook)
    WebhookDelivery.objects.update(attempts=12, given_up_at=sent.created_at)

    as_alice.post(f"/dashboard/settings/deliveries/{sent.pk}/again/")

    sent.refresh_from_db()
    assert (sent.attempts, sent.given_up_at) == (0, None)


def test_one_that_is_off_is_not_tried_and_may_be_switched_on(
    as_alice: Client, alice: User, hook: Webhook
) -> None:
    switch_webhook(own_seat(alice), hook, is_on=False)

    told = as_alice.post(f"{PAGE}{hook.pk}/test/", follow=True).content.decode()
    as_alice.post(f"{PAGE}{hook.pk}/switch/", {"to": "on"})

    assert "Switch it on first" in told
    assert not WebhookDelivery.objects.exists()
    hook.refresh_from_db()
    assert hook.off_at is None


def test_only_so_many_are_sent_by_hand_in_an_hour(as_alice: Client, hook: Webhook) -> None:
    for _ in range(MOST_SENT_BY_HAND + 1):
        answer = as_alice.post(f"{PAGE}{hook.pk}/test/")

    assert WebhookDelivery.objects.count() == MOST_SENT_BY_HAND
    assert "in an hour" in as_alice.get(answer["Location"]).content.decode()


def test_removing_asks_first(as_alice: Client, hook: Webhook) -> None:
    asked = as_alice.get(f"{PAGE}{hook.pk}/remove/").content.decode()
    was_there = Webhook.objects.exists()

    as_alice.post(f"{PAGE}{hook.pk}/remove/")

    assert "hooks.example.com" in asked
    assert was_there
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    ("role", "sees"),
    [(Role.OWNER, True), (Role.ADMIN, True), (Role.DEVELOPER, False), (Role.BILLING, False)],
)
def test_owners_and_admins_alone_see_them(acme: Crew, role: Role, sees: bool) -> None:
    browser = acme.browser(role)

    page = browser.get(acme.page("settings/notifications/")).content.decode()

    assert ("settings/webhooks/" in page) is sees
    assert (browser.get(acme.page("settings/webhooks/")).status_code == 200) is sees
