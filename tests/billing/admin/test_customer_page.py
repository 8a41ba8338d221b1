"""A customer's page at the desk: what happened to them, and what staff may do about it."""

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.auth.models import Group
from django.test import Client

from accounts.desk.roles import make_roles
from accounts.models import ApiKey, User
from accounts.teams.members import own_seat
from billing.models import Notice, Order, StaffNote, UsageRecord, Webhook, WebhookDelivery
from tests import desk
from tests.conftest import signed_in
from tests.desk import NOON


def page(browser: Client, buyer: desk.Buyer) -> str:
    return browser.get(desk.page_url(buyer.wallet)).content.decode()


def test_it_tells_what_happened_to_a_customer(root: Client, alice: desk.Buyer) -> None:
    UsageRecord.objects.update(outcome="broken")
    Notice.objects.create(user=alice.user, team=alice.wallet.team, kind="purchase", reference="1")
    root.post(desk.do_url("freeze", alice.wallet), {"reason": "Called us"})

    shown = page(root, alice)

    for title in ("Notes", "Orders", "API keys", "People", "Mails", "What was done"):
        assert f"<h2>{title}</h2>" in shown
    assert "broken by the upstream" in shown
    assert "Small" in shown
    assert "$9.00" in shown
    assert "Laptop" in shown
    assert "receipt" in shown
    assert "Called us" in shown
    assert "Credits charged" in shown


def test_it_tells_why_a_webhook_does_not_arrive(root: Client, alice: desk.Buyer) -> None:
    delivery = desk.make_delivery(own_seat(alice.user))
    Webhook.objects.update(url="https://hooks.example.com/path-secret?key=1", failing_since=NOON)
    WebhookDelivery.objects.update(
        body="what-was-told", attempts=3, tried_at=NOON, status_code=503, latency_ms=1_200
    )

    shown = page(root, alice)

    for said in ("hooks.example.com", "failing", "HTTP 503 after", delivery.message_id):
        assert said in shown
    for kept in ("path-secret", "what-was-told"):
        assert kept not in shown


def test_webhooks_are_told_as_mails_are(alice: desk.Buyer) -> None:
    desk.make_delivery(own_seat(alice.user))
    carol = desk.make_staff("carol@example.com", "billing.view_wallet")
    dora = desk.make_staff("dora@example.com", "billing.view_wallet", "billing.view_notice")

    assert desk.WEBHOOK_HOST not in page(carol, alice)
    assert desk.WEBHOOK_HOST in page(dora, alice)


def test_nobody_elses_things_are_on_it(root: Client, alice: desk.Buyer) -> None:
    bob = desk.make_customer("bob@example.com")
    desk.make_usage(bob.wallet, bob.key, request_id="req-of-bob")

    assert "bob@example.com" not in page(root, alice)
    assert "req-of-bob" not in page(root, alice)


def test_it_shows_what_one_may_see(alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com", "billing.view_wallet")

    shown = page(carol, alice)

    for title in ("Notes", "Orders", "API keys", "People", "Mails", "What was done", "Ledger"):
        assert f"<h2>{title}</h2>" not in shown


def test_a_note_is_kept_with_the_customer_and_not_in_the_record(
    root: Client, alice: desk.Buyer
) -> None:
    answer = root.post(
        desk.do_url("note", alice.wallet), {"text": "Likes <b>tea</b>", "reason": "A note"}
    )

    assert answer.status_code == 302
    note = StaffNote.objects.get()
    assert (note.wallet, note.text, note.author.email) == (
        alice.wallet,
        "Likes <b>tea</b>",
        "root@example.com",
    )
    assert "Likes &lt;b&gt;tea&lt;/b&gt;" in page(root, alice)
    assert "tea" not in desk.said()


@pytest.mark.parametrize("text", ["", " ", "x" * 2_001, "a\0b"])
def test_a_note_that_can_not_be_kept_is_refused(root: Client, alice: desk.Buyer, text: str) -> None:
    answer = root.post(desk.do_url("note", alice.wallet), {"text": text, "reason": "A note"})

    assert answer.status_code == 200
    assert not StaffNote.objects.exists()


def test_every_browser_of_the_members_is_logged_out(root: Client, alice: desk.Buyer) -> None:
    browsers = [signed_in(alice.user) for _ in range(2)]
    bob = User.objects.create_user("bob@example.com")
    other = signed_in(bob)
    for browser, user in ((browsers[0], alice.user), (browsers[1], alice.user), (other, bob)):
        UserSession.objects.create(
            user=user, session_key=browser.session.session_key, ip="127.0.0.1", user_agent="x"
        )

    root.post(desk.do_url("sign-out", alice.wallet), {"reason": "Stolen laptop"})

    assert [browser.get("/dashboard/").status_code for browser in browsers] == [302, 302]
    assert not UserSession.objects.filter(user=alice.user).exists()
    assert UserSession.objects.filter(user=bob).exists()


def test_staff_close_and_erase_an_account(root: Client, alice: desk.Buyer) -> None:
    StaffNote.objects.create(wallet=alice.wallet, text="Moved to Bern", author=alice.user)

    root.post(desk.do_url("delete-account", alice.wallet), {"reason": "Asked by mail"})

    alice.user.refresh_from_db()
    alice.wallet.team.refresh_from_db()
    assert not alice.user.is_active
    assert "alice" not in alice.user.email
    assert alice.wallet.team.closed_at is not None
    assert not StaffNote.objects.exists()


def test_staff_without_the_right_do_none_of_it(alice: desk.Buyer) -> None:
    carol = desk.make_staff("carol@example.com", "billing.view_wallet")

    for action in ("note", "sign-out", "delete-account"):
        answer = carol.post(desk.do_url(action, alice.wallet), {"text": "x", "reason": "Because"})
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        ("Support", {"ask-stripe", "revoke"}),
        ("Finance", {"ask-stripe", "refund"}),
        ("Operations", {"ask-stripe", "revoke", "limit"}),
        ("Auditor", set()),
    ],
)
def test_its_orders_and_keys_have_the_buttons_of_what_one_may_do(
    role: str, offered: set[str], alice: desk.Buyer
) -> None:
    Order.objects.update(stripe_payment_intent_id="pi_1", stripe_charge_id="ch_1", paid_cents=900)
    urls = {name: desk.do_url(name, alice.order) for name in ("ask-stripe", "refund")}
    urls |= {name: desk.do_url(name, alice.key) for name in ("revoke", "limit")}
    make_roles()
    user = User.objects.create_user("sue@example.com", is_staff=True)
    user.groups.add(Group.objects.get(name=role))

    shown = page(desk.log_in(user), alice)

    assert {name for name, url in urls.items() if url in shown} == offered


def test_what_is_closed_deleted_or_over_is_shown_as_such(root: Client, alice: desk.Buyer) -> None:
    ApiKey.objects.filter(pk=alice.key.pk).update(expires_at=desk.NOON)
    before = page(root, alice)
    root.post(desk.do_url("delete-account", alice.wallet), {"reason": "Asked by mail"})

    after = page(root, alice)

    assert "expired</span>" in before
    assert "revoked</span>" in after
    assert "deleted, or may not log in" in after
    assert '<span class="state state-quiet">closed' in after
    assert "do/revoke/" not in after
    for row in (alice.user, alice.wallet.team):
        word = "deleted" if row is alice.user else "closed"
        for url in (desk.page_url(row), desk.list_url(type(row))):
            assert f'<span class="state state-quiet">{word}' in root.get(url).content.decode(), url
