"""What happens in a team is sent to its webhooks: signed, once for a cause, until it is taken."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import ApiKey, Membership, User
from accounts.teams.members import own_seat
from billing.exceptions import WebhookUnfit
from billing.keys.api_keys import issue_api_key, revoke_api_key
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import Notice, Order, Webhook, WebhookDelivery
from billing.notices.low_balance import notify_low_balances
from billing.notices.pause_links import make_pause_link
from billing.notices.webhooks import posting
from billing.notices.webhooks.addresses import check_url
from billing.notices.webhooks.deliveries import announce, send_again, write_test
from billing.notices.webhooks.kinds import CHOICES
from billing.notices.webhooks.posting import post_due_deliveries
from billing.notices.webhooks.signatures import make_webhook_secret, sign
from billing.notices.webhooks.switches import (
    MOST_WEBHOOKS,
    Choice,
    change_webhook,
    make_webhook,
    remove_webhook,
    renew_secret,
    switch_webhook,
)
from billing.orders.notices import notify_order, notify_top_up_declined
from devstack.ports import free_port
from tests.billing.notices.receiver import Receiver, receiving

ALL = tuple(each.name for each in CHOICES)


@pytest.fixture
def receiver(db: None, settings: Settings) -> Iterator[Receiver]:
    settings.ALLOW_LOOPBACK_WEBHOOKS = True
    with receiving() as server:
        yield server


@pytest.fixture
def seat(alice: User) -> Membership:
    return own_seat(alice)


def choice(url: str, *, form: str = "json", kinds: tuple[str, ...] = ALL, low: int = 300) -> Choice:
    return Choice(url=url, form=form, kinds=kinds, low_balance_credits=low)


@pytest.fixture
def hook(seat: Membership, receiver: Receiver) -> Webhook:
    return make_webhook(seat, choice(receiver.url))[0]


def make_due() -> None:
    """Let time pass until what failed is tried again."""
    WebhookDelivery.objects.update(next_attempt_at=timezone.now())


# https://github.com/standard-webhooks/standard-webhooks: the example that its libraries are tried
# with.
def test_a_signature_is_the_one_of_the_specifications_example() -> None:
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        '{"test": 2432232314}',
    )

    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_happens_is_sent_once_and_signed(
    seat: Membership, receiver: Receiver, order: Order
) -> None:
    _, secret = make_webhook(seat, choice(receiver.url))
    notify_order(order)
    notify_order(order)

    assert [post_due_deliveries(), post_due_deliveries()] == [1, 0]

    [(headers, body)] = receiver.heard
    at_s = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"] == sign(secret, headers["webhook-id"], at_s, body)
    assert headers["content-type"] == "application/json"
    [told] = receiver.bodies
    assert (told["type"], told["team"]) == ("order.paid", str(seat.team.public_id))
    assert told["data"]["credits"] == order.credits
    assert told["data"]["url"].endswith(f"/dashboard/orders/{order.public_id}/")
    sent = WebhookDelivery.objects.get()
    assert (sent.status_code, sent.attempts, sent.message_id) == (200, 1, headers["webhook-id"])


def test_a_webhook_is_sent_what_it_wants_and_what_is_its_teams(
    seat: Membership, receiver: Receiver, bob: User, order: Order
) -> None:
    make_webhook(seat, choice(receiver.url, kinds=("key.made", "key.revoked")))
    key, _ = issue_api_key(seat, name="Laptop")
    issue_api_key(own_seat(bob), name="Bob's")
    notify_order(order)
    revoke_api_key(key)

    post_due_deliveries()

    assert receiver.kinds == ["key.made", "key.revoked"]
    assert {body["data"]["name"] for body in receiver.bodies} == {"Laptop"}
    assert receiver.bodies[0]["data"]["hint"] == key.hint


@pytest.mark.parametrize("status", [302, 404, 429, 500])
def test_it_is_sent_again_until_it_is_taken(hook: Webhook, receiver: Receiver, status: int) -> None:
    receiver.status = status
    write_test(hook)

    post_due_deliveries()
    assert post_due_deliveries() == 0
    failed = WebhookDelivery.objects.get()
    hook.refresh_from_db()
    assert (failed.status_code, failed.delivered_at) == (status, None)
    assert hook.failing_since
    # A redirect is not followed.
    assert len(receiver.heard) == 1

    receiver.status = 204
    make_due()
    post_due_deliveries()

    ids = [headers["webhook-id"] for headers, _ in receiver.heard]
    assert ids == [failed.message_id] * 2
    hook.refresh_from_db()
    assert hook.failing_since is None


def test_it_waits_for_as_long_as_the_receiver_asks(hook: Webhook, receiver: Receiver) -> None:
    receiver.status, receiver.headers = 503, {"Retry-After": "7200"}
    write_test(hook)
    before = timezone.now()

    post_due_deliveries()

    wait = WebhookDelivery.objects.get().next_attempt_at - before
    assert timedelta(hours=2) <= wait < timedelta(hours=3)


def test_pauses_grow_to_about_a_day(hook: Webhook, receiver: Receiver) -> None:
    receiver.status = 500
    write_test(hook)
    pauses = []

    while WebhookDelivery.objects.filter(given_up_at=None).exists():
        make_due()
        before = timezone.now()
        post_due_deliveries()
        pauses.append(WebhookDelivery.objects.get().next_attempt_at - before)

    assert len(receiver.heard) == 12
    assert pauses[0] < timedelta(minutes=2) < pauses[2]
    day = sum((pause for pause in pauses[:-1]), timedelta())
    assert timedelta(hours=18) < day < timedelta(hours=30)


def test_a_slow_receiver_holds_up_no_other(
    hook: Webhook, receiver: Receiver, seat: Membership
) -> None:
    """The slow one answers only once the fast one has been heard from."""
    with receiving() as fast:
        heard = threading.Event()
        receiver.before = lambda: heard.wait(60)
        fast.before = heard.set
        write_test(hook)
        write_test(make_webhook(seat, choice(fast.url))[0])

        post_due_deliveries()

    assert WebhookDelivery.objects.filter(status_code=200).count() == 2


def test_a_team_whose_receivers_hang_leaves_room_for_others(
    seat: Membership, receiver: Receiver, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "MOST_AT_ONCE", posting.MOST_OF_A_TEAM + 1)
    heard = threading.Event()
    receiver.before = lambda: heard.wait(60)
    for _ in range(posting.MOST_OF_A_TEAM + 2):
        write_test(make_webhook(seat, choice(receiver.url))[0])
    with receiving() as bobs:
        bobs.before = heard.set
        write_test(make_webhook(own_seat(bob), choice(bobs.url))[0])

        post_due_deliveries()

    assert not WebhookDelivery.objects.exclude(status_code=200).exists()


def test_a_receiver_that_never_answers_is_left_in_time(
    hook: Webhook, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_S", 0.2)
    done = threading.Event()
    receiver.before = lambda: done.wait(60)
    write_test(hook)

    post_due_deliveries()
    done.set()

    failed = WebhookDelivery.objects.get()
    assert (failed.status_code, failed.attempts) == (None, 1)
    assert failed.failure == WebhookDelivery.Failure.TIMEOUT


def test_the_log_says_in_words_why_nothing_answered(hook: Webhook) -> None:
    Webhook.objects.update(url=f"http://127.0.0.1:{free_port()}/")
    write_test(hook)

    post_due_deliveries()

    failed = WebhookDelivery.objects.get()
    assert failed.failure == WebhookDelivery.Failure.REFUSED
    assert failed.error == "Connection refused"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "ftp://example.com/hook",
        "https://user:secret@example.com/",
        "https://10.0.0.1/",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://2130706433/",
        "https://127.1/",
        "https://localhost/",
        "https://metadata.internal/",
        "https://redis/",
        "https://127。0。0。1/",
        "https://１２７.0.0.1/",
        "javascript:alert(1)",
        "https://",
        "https://example.com:99999/",
        "",
    ],
)
def test_an_address_that_leads_inside_is_refused(
    seat: Membership, settings: Settings, url: str
) -> None:
    settings.ALLOW_LOOPBACK_WEBHOOKS = False

    with pytest.raises(WebhookUnfit):
        make_webhook(seat, choice(url))

    assert not Webhook.objects.exists()
    assert str(check_url("https://hooks.example.com/a?b=c")) == "https://hooks.example.com/a?b=c"


def test_the_setting_opens_this_machine_and_nothing_else(settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_WEBHOOKS = True

    assert check_url("http://127.0.0.1:8001/hook")
    for inside in ("https://10.0.0.1/", "http://example.com/", "https://169.254.169.254/"):
        with pytest.raises(WebhookUnfit):
            check_url(inside)


def test_a_name_that_is_pointed_inside_later_gets_no_connection(
    hook: Webhook, receiver: Receiver, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's resolver answers with this machine, on which the receiver listens."""
    settings.ALLOW_LOOPBACK_WEBHOOKS = False
    port = receiver.server_port
    Webhook.objects.update(url=f"https://rebound.example.com:{port}/")
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    tried: list[Any] = []
    monkeypatch.setattr(receiver, "process_request", lambda *given: tried.append(given))
    write_test(hook)

    post_due_deliveries()

    assert tried == []
    assert WebhookDelivery.objects.get().failure == WebhookDelivery.Failure.INNER


def test_an_address_that_was_saved_before_is_checked_again(
    hook: Webhook, receiver: Receiver, settings: Settings
) -> None:
    write_test(hook)
    settings.ALLOW_LOOPBACK_WEBHOOKS = False

    post_due_deliveries()

    assert receiver.heard == []
    assert WebhookDelivery.objects.get().failure == WebhookDelivery.Failure.ADDRESS


def test_who_answers_410_is_sent_nothing_more_and_mailed(
    hook: Webhook, receiver: Receiver, alice: User
) -> None:
    receiver.status = 410
    write_test(hook)
    post_due_deliveries()
    hook.refresh_from_db()

    issue_api_key(own_seat(alice), name="Later")
    make_due()
    post_due_deliveries()

    assert (hook.off_reason, len(receiver.heard)) == ("gone", 1)
    facts = Notice.objects.get(kind="webhook_off").facts
    assert (facts["reason"], facts["webhook_id"]) == ("gone", hook.pk)


@pytest.mark.parametrize(("days", "is_off"), [(2, False), (4, True)])
def test_what_took_nothing_for_days_is_switched_off(
    hook: Webhook, receiver: Receiver, days: int, is_off: bool
) -> None:
    receiver.status = 500
    Webhook.objects.update(failing_since=timezone.now() - timedelta(days=days))
    write_test(hook)
    WebhookDelivery.objects.update(attempts=11)
    write_test(hook)
    WebhookDelivery.objects.filter(attempts=0).update(
        next_attempt_at=timezone.now() + timedelta(hours=1)
    )

    post_due_deliveries()

    hook.refresh_from_db()
    assert bool(hook.off_at) is is_off
    assert Notice.objects.filter(kind="webhook_off").exists() is is_off
    assert WebhookDelivery.objects.filter(given_up_at=None).exists() is not is_off


def test_a_renewed_secret_signs_beside_the_old_one_until_that_ends(
    seat: Membership, receiver: Receiver
) -> None:
    hook, old = make_webhook(seat, choice(receiver.url))
    new = renew_secret(seat, hook)
    write_test(hook)
    post_due_deliveries()
    Webhook.objects.update(previous_expires_at=timezone.now())
    write_test(hook)
    post_due_deliveries()

    signed = []
    for headers, body in receiver.heard:
        given = (headers["webhook-id"], int(headers["webhook-timestamp"]), body)
        signatures = headers["webhook-signature"].split()
        signed.append([sign(secret, *given) in signatures for secret in (new, old)])
    assert signed == [[True, True], [True, False]]


def test_a_secret_is_kept_encrypted(seat: Membership, receiver: Receiver) -> None:
    hook, secret = make_webhook(seat, choice(receiver.url))

    assert secret.encode() not in bytes(hook.encrypted_secret)


@pytest.mark.usefixtures("unchecked_books")
def test_a_low_balance_is_told_by_the_webhooks_own_threshold_and_once(
    hook: Webhook, receiver: Receiver, alice: User
) -> None:
    """1,000 credits, and a threshold of 300."""
    wallet = wallet_of(alice)
    grant_credits(wallet, credits=1_000, reason="test")
    notify_low_balances()
    type(wallet).objects.filter(pk=wallet.pk).update(posted_credits=299)

    notify_low_balances()
    notify_low_balances()
    post_due_deliveries()

    told = [body["data"] for body in receiver.bodies if body["type"] == "balance.low"]
    assert [(each["posted_credits"], each["threshold_credits"]) for each in told] == [(299, 300)]


def test_a_failed_top_up_says_how_it_failed(
    hook: Webhook, receiver: Receiver, order: Order
) -> None:
    notify_top_up_declined(order, reason="insufficient funds", checkout_url="https://pay")

    post_due_deliveries()

    [told] = receiver.bodies
    assert told["type"] == "top_up.failed"
    assert told["data"]["failure"] == "top_up_declined"
    # Whoever has it could pay in our customer's name.
    assert "https://pay" not in str(told)


def test_slack_gets_words_in_which_nothing_is_markup(seat: Membership, receiver: Receiver) -> None:
    make_webhook(seat, choice(receiver.url, form="slack"))
    issue_api_key(seat, name="<!channel> & <https://evil.example|click>")

    post_due_deliveries()

    [message] = receiver.bodies
    assert "&lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;" in message["text"]
    assert message["text"] in message["blocks"][0]["text"]["text"]
    assert "<!" not in message["blocks"][0]["text"]["text"]


@pytest.mark.parametrize("kind", CHOICES, ids=lambda kind: str(kind.name))
def test_slacks_words_name_facts_that_there_are(kind: Any) -> None:
    facts = dict.fromkeys((*kind.facts, "key_id", "order_id"), 5) | {"currency": "usd"}

    assert "{" not in str(kind.words).format_map(facts)


def test_what_is_sent_again_has_the_same_id(hook: Webhook, receiver: Receiver) -> None:
    delivery = write_test(hook)
    post_due_deliveries()

    send_again(delivery)
    post_due_deliveries()

    assert [headers["webhook-id"] for headers, _ in receiver.heard] == [delivery.message_id] * 2


def test_one_that_is_off_or_removed_is_sent_nothing(
    seat: Membership, hook: Webhook, receiver: Receiver
) -> None:
    write_test(hook)
    switch_webhook(seat, hook, is_on=False)
    issue_api_key(seat, name="One")
    post_due_deliveries()
    switch_webhook(seat, hook, is_on=True)
    remove_webhook(seat, hook)
    issue_api_key(seat, name="Two")
    post_due_deliveries()

    assert receiver.heard == []
    assert not WebhookDelivery.objects.exists()


def test_a_team_has_so_many_and_no_more(seat: Membership, receiver: Receiver) -> None:
    for _ in range(MOST_WEBHOOKS):
        make_webhook(seat, choice(receiver.url))

    with pytest.raises(WebhookUnfit, match="Remove one"):
        make_webhook(seat, choice(receiver.url))


def test_a_kind_that_there_is_not_changes_nothing(seat: Membership, hook: Webhook) -> None:
    with pytest.raises(WebhookUnfit):
        change_webhook(seat, hook, choice(hook.url, kinds=("no.such",)))

    hook.refresh_from_db()
    assert tuple(hook.kinds) == ALL


def test_a_leap_has_a_link_that_pauses_the_key_without_logging_in(
    seat: Membership, hook: Webhook, receiver: Receiver, client: Client
) -> None:
    key, _ = issue_api_key(seat, name="Leaked")
    facts = {
        "key_id": key.pk,
        "name": key.name,
        "hint": key.hint,
        "pause_url": make_pause_link(key),
    }
    facts |= {"spent_credits": 500_000, "usual_credits": 10}
    announce(seat.team, Notice.Kind.SPEND_SPIKE, reference="1", facts=facts)
    post_due_deliveries()
    link = receiver.bodies[-1]["data"]["pause_url"]
    path = link[link.index("/pause/") :]

    asked = client.get(path)
    was_running = ApiKey.objects.get(pk=key.pk).paused_at is None
    client.post(path)

    assert asked.status_code == 200
    assert was_running
    assert ApiKey.objects.get(pk=key.pk).paused_at


def test_a_link_that_we_did_not_make_pauses_nothing(seat: Membership, client: Client) -> None:
    key, _ = issue_api_key(seat, name="Laptop")
    link = make_pause_link(key)
    path = link[link.index("/pause/") : -1]

    for forged in (f"{path}x/", f"/pause/{key.pk}/", "/pause/x:y:z/"):
        assert client.post(forged).status_code == 404

    assert ApiKey.objects.get(pk=key.pk).paused_at is None


def test_the_documentations_check_takes_what_we_sign_and_nothing_else() -> None:
    program: dict[str, Any] = {}
    exec(Path("templates/examples/webhook-check.txt").read_text(), program)  # noqa: S102
    secret, body, now = make_webhook_secret(), '{"type": "webhook.test"}', int(time.time())

    def told(at: int, signature: str) -> dict[str, str]:
        return {
            "webhook-id": "msg_1",
            "webhook-timestamp": str(at),
            "webhook-signature": signature,
        }

    ours = sign(secret, "msg_1", now, body)
    old = sign(secret, "msg_1", now - 600, body)
    theirs = sign(make_webhook_secret(), "msg_1", now, body)

    assert program["is_ours"](secret, told(now, f"{theirs} {ours}"), body.encode())
    assert not program["is_ours"](secret, told(now, theirs), body.encode())
    assert not program["is_ours"](secret, told(now, ours), body.encode() + b" ")
    assert not program["is_ours"](secret, told(now - 600, old), body.encode())
