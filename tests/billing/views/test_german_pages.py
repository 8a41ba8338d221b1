"""A German reader meets no English: after each form, on receipts and orders, and in mails."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.languages import keep_language
from accounts.models import Role, User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import freeze_wallet, grant_credits, wallet_of
from billing.models import AmountOffer, Debit, Dispute, Notice, Order, Pack, UsageRecord
from billing.notices.composing import compose
from devstack.ports import free_port
from tests.accounts.form_values import FORMS, VISITORS
from tests.billing.views.conftest import ANYWHERE, MakeOrder, MakeUsage
from tests.browser.planting import INSTANTS, NUMBERS
from tests.conftest import signed_in
from tests.desk import make_order
from tests.german import english_in, texts_of
from tests.stripe_sandbox import Sandbox
from tests.teams import Crew

GERMAN = {"accept-language": "de"}
# What somebody typed or named.
NAMES = {"Laptop", "Starter", "Acme", "Engine"}


@pytest.fixture(autouse=True)
def no_counts(db: None) -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def client(alice: User) -> Client:
    keep_language(alice, "de")
    return signed_in(alice)


@pytest.fixture
def places(alice: User, bob: User, settings: Settings) -> dict[str, str]:
    settings.AUTO_TOP_UP = True
    # Stripe is away.
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"
    key, _ = issue_api_key(own_seat(alice), name="Laptop")
    return {
        "key": str(key.pk),
        "order": str(make_order(alice).public_id),
        "seat": str(own_seat(alice).pk),
    }


def english_on(answer: Any) -> list[str]:
    assert '<html lang="de">' in answer.content.decode(), answer.request["PATH_INFO"]
    return [text for text in english_in(texts_of(answer.content.decode())) if text not in NAMES]


def english_of(browser: Client, pages: list[str]) -> dict[str, list[str]]:
    answers = {page: browser.get(page, follow=True) for page in pages}
    return {page: found for page, answer in answers.items() if (found := english_on(answer))}


@pytest.mark.parametrize("path", FORMS)
@pytest.mark.parametrize("kind", ["right", "empty", "wrong"])
def test_what_a_form_answers_is_german(
    client: Client, places: dict[str, str], path: str, kind: str
) -> None:
    right = FORMS[path]
    typed = {
        "right": right,
        "empty": dict.fromkeys(right, ""),
        "wrong": dict.fromkeys(right, "x" * 400),
    }[kind]
    browser = Client(headers=GERMAN) if path in VISITORS else client

    answer = browser.post(
        path.format(**places),
        urlencode(typed),
        content_type="application/x-www-form-urlencoded",
        headers=GERMAN,
        follow=True,
    )

    if "text/html" in answer.headers["Content-Type"]:
        assert english_on(answer) == []


@pytest.mark.parametrize("outcome", UsageRecord.Outcome.values)
@pytest.mark.parametrize("source", UsageRecord.Source.values)
def test_receipts_are_german(client: Client, use: MakeUsage, outcome: str, source: str) -> None:
    use("req_1", outcome=outcome, source=source, charged_credits=1_325, write_off_credits=3)

    assert english_on(client.get("/dashboard/usage/req_1/")) == []


def test_the_dashboard_of_a_busy_customer_is_german(
    client: Client, alice: User, use: MakeUsage, starter: Pack
) -> None:
    grant_credits(wallet_of(alice), credits=5_000, reason="test")
    for number, outcome in enumerate(UsageRecord.Outcome.values):
        started = timezone.now() - timedelta(minutes=number)
        use(f"req_{number}", outcome=outcome, started_at=started, ended_at=started)
    freeze_wallet(wallet_of(alice), reason="test")
    pages = [
        "/dashboard/",
        *(f"/dashboard/usage/?by={by}" for by in ("", "model", "key", "outcome", "member")),
        *(f"/dashboard/usage/?step={step}" for step in ("hour", "day", "week")),
        "/dashboard/usage/?request_id=req_nobody",
        "/dashboard/usage/?key=nonsense",
        "/dashboard/statements/",
        "/dashboard/playground/",
        "/models/?can=flying",
        "/packs/?requests_per_day=",
        "/packs/?currency=usd&amount=1",
    ]

    assert {
        page: found for page in pages if (found := english_on(client.get(page, follow=True)))
    } == {}


@pytest.mark.parametrize("status", Order.Status.values)
@pytest.mark.parametrize("channel", Order.Channel.values)
def test_orders_are_german(client: Client, order: MakeOrder, status: str, channel: str) -> None:
    made = order(status, channel=channel, review_reason="amount")
    if status == "fulfilled":
        Order.objects.update(paid_cents=900, refunded_cents=100, clawed_back_credits=5)
        Dispute.objects.create(
            order=made, stripe_dispute_id="dp_1", status="needs_response", amount_cents=100
        )
    Debit.objects.create(
        wallet=wallet_of(made.buyer), kind="clawback", reference="re_1", amount_credits=5
    )
    pages = [
        "/dashboard/orders/",
        f"/dashboard/orders/{made.public_id}/",
        f"/dashboard/orders/{made.public_id}/refund/",
        f"/billing/cancelled/{made.public_id}/",
        "/dashboard/",
    ]

    assert {
        page: found for page in pages if (found := english_on(client.get(page, follow=True)))
    } == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("status", Order.Status.values)
def test_the_way_back_from_stripe_is_german_while_it_is_away(
    client: Client, order: MakeOrder, nowhere: None, status: str
) -> None:
    made = order(status)

    pages = [
        f"/billing/return/?session_id={made.stripe_session_id}",
        f"/billing/cancelled/{made.public_id}/",
    ]

    assert english_of(client, pages) == {}


class TestTheWayBackFromStripe:
    """The pages that Stripe sends a German customer to, with the emulator's answers."""

    @pytest.fixture(autouse=True)
    def set_up(self, stripe: Sandbox, client: Client, starter: Pack) -> None:
        self.stripe = stripe
        client.post("/billing/checkout/starter/")
        self.order = Order.objects.get()
        self.back = f"/billing/return/?session_id={self.order.stripe_session_id}"

    @pytest.fixture
    def read(self, client: Client) -> Callable[[], str]:
        def read() -> str:
            pages = [
                # First: it shows the key, once.
                self.back,
                self.back,
                f"/billing/cancelled/{self.order.public_id}/",
                f"/dashboard/orders/{self.order.public_id}/",
            ]
            answers = [client.get(page) for page in pages]
            assert [english_on(answer) for answer in answers] == [[]] * len(pages)
            self.order.refresh_from_db()
            return self.order.status

        return read

    def test_after_leaving_the_payment_page(self, read: Callable[[], str]) -> None:
        assert read() == Order.Status.OPEN

    def test_after_paying(self, read: Callable[[], str]) -> None:
        self.stripe.pay(self.order.stripe_session_id)

        assert read() == Order.Status.FULFILLED

    def test_while_a_bank_takes_its_time_and_after_it_refused(
        self, read: Callable[[], str]
    ) -> None:
        self.stripe.control(f"checkout/{self.order.stripe_session_id}/pay", method="bank")
        assert read() == Order.Status.PENDING

        intent = self.stripe.intent_id(self.order.stripe_session_id or "")
        self.stripe.end_debit(intent, "fail")

        assert read() == Order.Status.FAILED

    def test_after_its_time(self, read: Callable[[], str]) -> None:
        self.stripe.expire(self.order.stripe_session_id)

        assert read() == Order.Status.EXPIRED


def test_the_checkout_is_german(client: Client, starter: Pack) -> None:
    AmountOffer.objects.create(
        currency="usd",
        least_cents=1_000,
        most_cents=500_000,
        credits_per_unit=100_000,
        validity_days=30,
        is_active=True,
    )
    pages = [
        "/packs/",
        "/billing/checkout/starter/",
        "/billing/checkout-amount/?currency=usd&amount=50",
        "/billing/checkout-amount/?currency=usd&amount=5",
    ]

    assert english_of(client, pages) == {}


def test_a_key_shown_once_is_german(client: Client) -> None:
    typed = {"name": "Laptop", **ANYWHERE}

    page = client.post("/dashboard/keys/new/", typed)

    assert "new-secret" in page.content.decode()
    assert english_on(page) == []


@pytest.mark.parametrize("role", Role)
def test_a_teams_pages_are_german_for_each_role(acme: Crew, role: Role) -> None:
    keep_language(acme.person(role), "de")
    browser = acme.browser(role)
    pages = [
        acme.page(path) for path in ("", "team/", "team/events/", "team/invitations/", "keys/")
    ]
    pages += [acme.page(f"team/members/{seat.pk}/") for seat in acme.seats.values()]

    assert english_of(browser, pages) == {}


@pytest.mark.parametrize("kind", Notice.Kind.values)
def test_mails_are_german(alice: User, kind: str) -> None:
    keep_language(alice, "de")
    facts = {
        **dict.fromkeys(("pack_name", "name", "hint", "previous_hint", "device_name"), "Q1"),
        **dict.fromkeys(("address", "source", "new_email", "old_email", "team_name"), "Q2"),
        **dict.fromkeys(("inviter", "person", "reason"), "Q3"),
        "checkout_url": "https://q.example",
        "role": "developer",
        "deed": "Q4",
        "change": "app",
        **NUMBERS,
        **INSTANTS,
        "order_id": str(make_order(alice).public_id),
        "person_id": alice.pk,
        "month": "2026-02",
        "requests": 7,
        "charged_credits": 1_000,
        "before_credits": 500,
        "orders": [{"credits": 1_000, "amount_cents": 900, "currency": "usd"}],
        "by_model": [{"name": "gpt-4", "charged_credits": 1_000}],
        "by_key": [{"name": "Laptop", "hint": "Q7", "charged_credits": 1_000}],
        "currency": "usd",
        "state": "opened",
        "has_receipt": True,
        "ended": {"keys": ["Q5"], "addresses": ["Q6"], "sessions": 1, "factors": 1},
        "refunds": [{"amount_cents": 500, "currency": "usd"}],
        "subscription": "7",
        "language": "de",
        "model_names": ["gpt-4"],
        "title": "Q8",
        "impact": "Q9",
        "is_over": False,
        "updates": [{"state": "Q1", "text": "Q2"}],
    }

    mail = compose(Notice(pk=1, user=alice, kind=kind, facts=facts, address=alice.email))

    lines = {line.strip() for line in str(mail.body).splitlines()}
    page = texts_of(str(mail.alternatives[0][0]))
    # Those of the desk are English.
    if kind not in {Notice.Kind.APPROVAL_ASKED, Notice.Kind.EXPORT_READY}:
        assert english_in({str(mail.subject), *lines, *page}) == []
