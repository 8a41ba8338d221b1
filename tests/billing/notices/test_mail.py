"""Every mail, composed: what it says in text and in HTML."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import Notice, Order
from billing.notices.composing import compose
from billing.orders.notices import notify_order

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ORDER: dict[str, Any] = {
    "order_id": "0b6b1f6e-6f0a-4f55-9d36-2f7f3f9b7e11",
    "pack_name": "Builder <5>",
    "credits": 5_000_000,
    "amount_cents": 2_000,
    "currency": "usd",
}
ORIGIN = {"device_name": "Firefox on Linux", "address": "203.0.113.9"}
FACTS: dict[str, dict[str, Any]] = {
    "purchase": ORDER
    | {"bonus_credits": 1_000_000, "has_receipt": True, "expires_at": "2027-03-02"},
    "refund": ORDER | {"refunded_cents": 500, "clawed_back_credits": 1_250_000},
    "dispute": ORDER | {"state": "opened"},
    "low_balance": {"posted_credits": 40_000, "threshold_credits": 50_000},
    "lot_expiring": {
        "remaining_credits": 9_000,
        "expires_at": NOON.isoformat(),
        "source": "Builder",
    },
    "new_key": {"name": "Laptop & co", "hint": "tp_live_Ab12…9xYz"},
    "key_rotated": {
        "name": "Laptop & co",
        "hint": "tp_live_Ab12…9xYz",
        "previous_hint": "tp_live_Cd34…8wVu",
        "previous_expires_at": NOON.isoformat(),
    },
    "key_revoked": {"name": "Laptop & co", "hint": "tp_live_Ab12…9xYz"},
    "spend_spike": {
        "name": "Laptop & co",
        "hint": "tp_live_Ab12…9xYz",
        "key_id": 7,
        "spent_credits": 500_000,
        "usual_credits": 20_000,
    },
    "new_sign_in": ORIGIN | {"at": NOON.isoformat()},
    "password_changed": ORIGIN,
    "password_reset": ORIGIN
    | {
        "ended": {
            "keys": ["tp_live_Ab12…9xYz"],
            "addresses": ["stranger@example.com"],
            "sessions": 3,
            "factors": 1,
        }
    },
    "password_link": {},
    "no_account": {},
    "account_deleted": {"refunds": [{"amount_cents": 500, "currency": "usd"}]},
    "second_factor": ORIGIN | {"change": "A passkey or security key was removed."},
    "address_asked": ORIGIN | {"new_email": "new@example.com"},
    "address_changed": {"old_email": "old@example.com", "new_email": "new@example.com"},
    "top_up_succeeded": ORDER,
    "top_up_declined": ORDER
    | {"reason": "insufficient funds", "checkout_url": "https://shop.example.com/pay"},
    "top_up_action": ORDER | {"checkout_url": "https://shop.example.com/pay"},
    "top_up_off": {"reason": "terms"},
    "team_joined": {"person_id": None, "role": "Developer"},
    "team_role_changed": {"role": "Billing"},
    "team_handed_over": {"person_id": None, "is_heir": True},
    "team_removed": {"keeps_keys": False},
    "team_closed": {"refunds": 1},
    "approval_asked": {
        "person_id": None,
        "deed": "Grant credits",
        "worth_credits": 20_000_000,
        "approval_id": 7,
    },
    "monthly_summary": {
        "month": "2026-02",
        "charged_credits": 1_500_000,
        "before_credits": 900_000,
        "requests": 1_234,
        "posted_credits": 7_000,
        "by_model": [{"name": "gpt-4", "charged_credits": 1_500_000}],
        "by_key": [{"name": "Laptop & co", "hint": "tp_live_Ab", "charged_credits": 1_500_000}],
        "orders": [{"currency": "usd", "amount_cents": 2_000, "credits": 5_000_000}],
    },
    "webhook_off": {
        "webhook_id": 7,
        "host": "hooks.example.com",
        "reason": "failing",
        "failing_since": NOON.isoformat(),
    },
    "export_ready": {"export_id": 7, "rows_written": 12_345},
    "status_link": {"subscription": "7", "language": "en", "model_names": ["gpt-4"]},
    "incident": {
        "subscription": "7",
        "title": "Slow & late answers",
        "impact": "Slower than usual",
        "model_names": ["gpt-4"],
        "started_at": NOON.isoformat(),
        "resolved_at": None,
        "is_over": False,
        "updates": [{"state": "We know the cause", "text": "A provider is slow."}],
    },
}
WORDS = {
    "monthly_summary": ["February 2026", "1,500,000", "900,000", "$20.00", "gpt-4"],
    "webhook_off": ["hooks.example.com", "2 March 2026, 12:00 UTC", "/settings/webhooks/7/"],
    "purchase": ["5,000,000", "1,000,000", "$20.00", "Balance now", "7,000", "2 March 2027"],
    "refund": ["$5.00", "$20.00", "1,250,000"],
    "dispute": ["frozen", "$20.00"],
    "low_balance": ["50,000", "7,000", "/packs/"],
    "lot_expiring": ["9,000", "2 March 2026, 12:00 UTC"],
    "new_key": ["tp_live_Ab12…9xYz", "/dashboard/keys/"],
    "key_rotated": ["tp_live_Ab12…9xYz", "tp_live_Cd34…8wVu", "2 March 2026, 12:00 UTC"],
    "key_revoked": ["tp_live_Ab12…9xYz", "/dashboard/keys/"],
    "spend_spike": ["500,000 credits", "20,000 credits", "/dashboard/keys/7/pause/"],
    "password_changed": ["Firefox on Linux", "203.0.113.9", "/accounts/password/reset/"],
    "password_reset": [
        "Firefox on Linux",
        "203.0.113.9",
        "/accounts/password/reset/",
        "tp_live_Ab12…9xYz",
        "stranger@example.com",
        "never been confirmed",
    ],
    "password_link": ["/accounts/password/reset/key/", "hour"],
    "no_account": ["/accounts/signup/", "no account"],
    "account_deleted": ["$5.00", "overwritten"],
    "second_factor": ["passkey", "203.0.113.9", "/accounts/2fa/"],
    "address_asked": ["new@example.com", "203.0.113.9", "/accounts/email/"],
    "address_changed": ["old@example.com", "new@example.com", "/accounts/email/"],
    "new_sign_in": ["Firefox on Linux", "203.0.113.9", "/accounts/password/change/"],
    "top_up_succeeded": ["5,000,000", "$20.00"],
    "top_up_declined": ["insufficient funds", "https://shop.example.com/pay"],
    "top_up_action": ["$20.00", "https://shop.example.com/pay"],
    "top_up_off": ["no longer sold", "7,000", "/dashboard/top-up/"],
    "team_joined": ["alice@example.com", "Developer", "/dashboard/team/"],
    "team_role_changed": ["alice@example.com", "billing", "/dashboard/team/"],
    "team_handed_over": ["alice@example.com", "change roles", "/dashboard/team/"],
    "team_removed": ["alice@example.com", "refused from now on"],
    "team_closed": ["alice@example.com", "goes back"],
    "approval_asked": ["Grant credits", "20,000,000", "/admin/billing/approval/7/change/"],
    "export_ready": ["12,345", "/admin/billing/export/7/change/"],
    "status_link": ["/status/confirm/", "gpt-4", "three days"],
    "incident": [
        *("A provider is slow.", "We know the cause", "Slower than usual", "gpt-4"),
        *("2 March 2026, 12:00 UTC", "/status/unsubscribe/"),
    ],
}


@pytest.fixture
def customer(alice: User) -> User:
    """Alice, with 7,000 credits."""
    grant_credits(wallet_of(alice), credits=7_000, reason="test")
    return alice


def make_mail(user: User, kind: str, facts: dict[str, Any]) -> tuple[EmailMultiAlternatives, str]:
    """Return a mail and its HTML."""
    sent = compose(Notice.objects.create(user=user, kind=kind, reference="1", facts=facts))
    html, mimetype = sent.alternatives[0]
    assert mimetype == "text/html"
    return sent, str(html)


def test_every_kind_is_tried_here() -> None:
    assert set(FACTS) == set(WORDS) == set(Notice.Kind.values)


@pytest.mark.parametrize("kind", Notice.Kind.values)
def test_text_and_html_say_the_same(customer: User, kind: str) -> None:
    sent, html = make_mail(customer, kind, FACTS[kind])

    for word in WORDS[kind]:
        assert word in sent.body
        assert word in html
    assert "Sent to alice@example.com" in sent.body
    assert "Sent to alice@example.com" in html
    assert sent.subject
    assert "\n" not in sent.subject


@pytest.mark.parametrize("kind", Notice.Kind.values)
def test_it_loads_nothing_from_anywhere(customer: User, kind: str) -> None:
    _, html = make_mail(customer, kind, FACTS[kind])

    assert not re.search(r"<img|<script|<link|url\(|@import", html)


@pytest.mark.parametrize("kind", Notice.Kind.values)
def test_the_text_is_narrow_and_has_no_gaps(customer: User, kind: str) -> None:
    sent, _ = make_mail(customer, kind, FACTS[kind])

    too_wide = [line for line in sent.body.splitlines() if len(line) > 78 and "http" not in line]
    assert too_wide == []
    assert "\n\n\n" not in sent.body


@pytest.mark.parametrize(
    ("reason", "words", "is_untouched"),
    [
        ("terms", "no longer sold", True),
        ("staff", "Our staff switched it off", True),
        ("returned", "was refunded or disputed", False),
        ("uncredited", "Your card was charged, but", False),
    ],
)
def test_a_top_up_that_ends_says_why(
    reason: str, words: str, is_untouched: bool, customer: User
) -> None:
    sent, html = make_mail(customer, "top_up_off", {"reason": reason})

    for text in (sent.body, html):
        assert words in text
        assert ("Nothing was charged" in text) is is_untouched


def test_names_are_written_as_they_are_and_never_as_markup(customer: User) -> None:
    sent, html = make_mail(customer, "purchase", FACTS["purchase"])

    assert "Builder <5>" in sent.body
    assert "Builder &lt;5&gt;" in html
    assert "Builder <5>" not in html


@pytest.mark.parametrize(
    ("kind", "is_offered"), [("low_balance", True), ("purchase", False), ("new_sign_in", False)]
)
def test_only_mails_that_can_be_switched_off_say_where(
    customer: User, kind: str, is_offered: bool
) -> None:
    sent, html = make_mail(customer, kind, FACTS[kind])

    place = "/dashboard/settings/notifications/"
    assert [place in text for text in (sent.body, html)] == [is_offered] * 2
    assert ("List-Unsubscribe" in sent.extra_headers) == is_offered


def test_a_mail_that_is_sent_again_has_the_same_message_id(customer: User) -> None:
    issue_api_key(own_seat(customer), name="Laptop")
    notice = Notice.objects.get()

    first, second = compose(notice), compose(notice)

    assert first.message()["Message-ID"] == second.message()["Message-ID"]


def test_links_lead_to_the_site(order: Order, settings: Settings) -> None:
    settings.SITE_URL = "https://api.example.com"
    notify_order(order)

    sent = compose(Notice.objects.get())

    assert f"https://api.example.com/dashboard/orders/{order.public_id}/" in sent.body
