"""Orders, and the way to the payment page and back. Stripe is the emulator."""

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import ApiKey, User
from billing.ledger.balances import read_balance
from billing.ledger.wallets import wallet_of
from billing.models import Order, Pack, PackPrice
from billing.views.orders import PAGE_SIZE
from billing.views.polling import poll_after_s
from tests.billing.views.conftest import HTMX, MakeOrder
from tests.stripe_sandbox import Sandbox

SECRET = re.compile(r'id="new-secret">(tp_live_[0-9A-Za-z]{38})<')


@pytest.mark.parametrize(
    ("status", "fields", "said"),
    [
        ("open", {}, ("Waiting for payment", "We are waiting for the payment")),
        ("fulfilled", {}, ("Paid", "1,000,000 credits were added")),
        ("failed", {}, ("Payment failed", "didn't go through")),
        ("failed", {}, ("Payment failed", "Check again")),
        ("expired", {}, ("Expired", "Nothing was charged")),
        ("review", {}, ("Under review", "a person looks at it")),
        ("pending", {}, ("Payment on its way", "the bank is still at work")),
        ("closed", {}, ("Closed", "without adding credits")),
        (
            "fulfilled",
            {"invoice_url": "https://invoice.stripe.com/i/1", "discount_cents": 300},
            ("Paid", "/invoice/"),
        ),
        (
            "open",
            {"expires_at": datetime(2026, 1, 1, tzinfo=UTC)},
            ("Expired", "Nothing was charged"),
        ),
        ("fulfilled", {"clawed_back_credits": 500_000}, ("Partly taken back", "500,000")),
        ("fulfilled", {"clawed_back_credits": 1_000_000}, ("Taken back", "1,000,000")),
        ("fulfilled", {"refunded_cents": 200}, ("Partly refunded", "Later $2.00")),
        ("fulfilled", {"refunded_cents": 900}, ("Refunded", "Later $9.00")),
    ],
)
def test_an_order_says_how_it_stands(
    as_alice: Client,
    order: MakeOrder,
    status: str,
    fields: dict[str, object],
    said: tuple[str, str],
) -> None:
    made = order(status, **fields)

    listed = as_alice.get("/dashboard/orders/").content.decode()
    page = as_alice.get(f"/dashboard/orders/{made.public_id}/").content.decode()

    badge, words = said
    assert badge in listed
    assert words in page


@pytest.mark.parametrize(
    ("status", "count", "waits"),
    [("pending", "", "2s"), ("pending", "?n=30", "20s"), ("open", "", ""), ("failed", "", "")],
)
def test_a_page_looks_again_while_the_bank_is_at_work(
    as_alice: Client, order: MakeOrder, status: str, count: str, waits: str
) -> None:
    made = order(status)

    page = as_alice.get(f"/dashboard/orders/{made.public_id}/{count}").content.decode()

    assert re.findall(r'hx-trigger="load delay:(\w+)"', page) == ([waits] if waits else [])


def test_a_paid_order_links_to_its_receipt(as_alice: Client, order: MakeOrder) -> None:
    made = order("fulfilled", receipt_url="https://pay.stripe.com/receipts/1")

    page = as_alice.get(f"/dashboard/orders/{made.public_id}/").content.decode()

    assert f'href="/dashboard/orders/{made.public_id}/receipt/"' in page
    # That address ends after a month.
    assert "pay.stripe.com" not in page


def test_orders_are_listed_a_page_at_a_time(as_alice: Client, order: MakeOrder) -> None:
    made = [order("closed", stripe_session_id=f"cs_{n}") for n in range(PAGE_SIZE + 2)]

    first = as_alice.get("/dashboard/orders/").context
    second = as_alice.get(f"/dashboard/orders/{first['next_url']}").context

    newest_first = made[::-1]
    assert list(first["orders"]) == newest_first[:PAGE_SIZE]
    assert list(second["orders"]) == newest_first[PAGE_SIZE:]
    assert (first["newest_url"], second["newest_url"], second["next_url"]) == ("", "?", "")


@pytest.mark.parametrize("before", ["0", "-1", "x", str(2**63)])
def test_there_is_no_page_of_orders_before_none(before: str, as_alice: Client) -> None:
    assert as_alice.get("/dashboard/orders/", {"before": before}).status_code == 404


def test_bob_finds_nothing_of_alices_orders(as_bob: Client, order: MakeOrder) -> None:
    made = order()

    listed = as_bob.get("/dashboard/orders/").content.decode()
    answers = [
        as_bob.get(f"/dashboard/orders/{made.public_id}/"),
        as_bob.post(f"/dashboard/orders/{made.public_id}/"),
        as_bob.get(f"/dashboard/orders/{made.public_id}/receipt/"),
        as_bob.get(f"/dashboard/orders/{made.public_id}/invoice/"),
        as_bob.get("/billing/return/", {"session_id": "cs_test_alice"}),
        as_bob.get(f"/billing/cancelled/{made.public_id}/"),
    ]

    assert "Starter" not in listed
    assert [answer.status_code for answer in answers] == [404] * 6


@pytest.mark.parametrize("session_id", ["", "cs_test_none", "x" * 500, "../../etc"])
def test_the_return_page_knows_no_session_but_the_customers_own(
    as_alice: Client, order: MakeOrder, session_id: str
) -> None:
    order()

    answer = as_alice.get("/billing/return/", {"session_id": session_id})

    assert answer.status_code == 404


def test_charlie_signs_up_first_and_comes_back_to_the_pack(
    as_charlie: Client, starter: Pack
) -> None:
    answer = as_charlie.post("/billing/checkout/starter/")

    assert answer.status_code == 302
    assert answer.headers["Location"] == (
        "/accounts/signup/?next=%2Fbilling%2Fcheckout%2Fstarter%2F"
    )
    assert not Order.objects.exists()


def test_the_order_page_changes_nothing_until_it_is_confirmed(
    as_alice: Client, starter: Pack
) -> None:
    page = as_alice.get("/billing/checkout/starter/").content.decode()

    assert "$9.00" in page
    assert "Continue to payment" in page
    assert not Order.objects.exists()


def test_a_pack_in_two_currencies_lets_the_customer_choose(as_alice: Client, starter: Pack) -> None:
    PackPrice.objects.create(pack=starter, currency="eur", price_cents=800)

    page = as_alice.get("/billing/checkout/starter/").content.decode()
    answer = as_alice.post("/billing/checkout/starter/", {"currency": "gbp"}, follow=True)

    assert "$9.00" in page
    assert "€8.00" in page
    assert "no longer on sale" in answer.content.decode()
    assert not Order.objects.exists()


def test_a_link_may_choose_the_currency(
    as_alice: Client, as_charlie: Client, starter: Pack
) -> None:
    PackPrice.objects.create(pack=starter, currency="eur", price_cents=800)
    link = "/billing/checkout/starter/?currency=eur"

    page = " ".join(as_alice.get(link).content.decode().split())
    answer = as_charlie.get(link)

    assert 'value="eur" checked' in page
    assert page.count("checked") == 1
    assert answer.headers["Location"].endswith("starter%2F%3Fcurrency%3Deur")


def test_who_starts_too_many_orders_is_told_so(
    as_alice: Client, order: MakeOrder, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 1
    order("expired", stripe_session_id="cs_test_old")

    page = as_alice.post("/billing/checkout/starter/", follow=True).content.decode()

    assert "Too many orders" in page
    assert Order.objects.count() == 1


def test_a_pack_that_is_off_sale_is_refused_with_a_message(as_alice: Client, starter: Pack) -> None:
    Pack.objects.filter(pk=starter.pk).update(is_active=False)

    shown = as_alice.get("/billing/checkout/starter/", follow=True)
    answer = as_alice.post("/billing/checkout/starter/", follow=True)

    for page in (shown, answer):
        assert page.redirect_chain == [("/packs/", 302)]
        assert "no longer on sale" in page.content.decode()
    assert as_alice.get("/billing/checkout/no-such-pack/").status_code == 404
    assert not Order.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_payment_service_that_is_away_is_said_in_words(
    as_alice: Client, starter: Pack, nowhere: None
) -> None:
    answer = as_alice.post("/billing/checkout/starter/", follow=True)

    assert answer.status_code == 200
    assert "payment service didn" in answer.content.decode()


@pytest.mark.django_db(transaction=True)
def test_the_return_page_goes_on_waiting_while_stripe_is_away(
    as_alice: Client, order: MakeOrder, nowhere: None
) -> None:
    order()

    page = as_alice.get("/billing/return/", {"session_id": "cs_test_alice"}).content.decode()

    assert "Waiting for your payment" in page
    assert "answer for the moment" in page
    assert "session_id=cs_test_alice&amp;n=1" in page


def test_the_return_page_asks_eagerly_at_first_and_patiently_later() -> None:
    assert [poll_after_s(polls) for polls in (0, 9, 10, 29, 30, 1_000)] == [2, 2, 5, 5, 20, 20]


def test_the_cancel_page_says_that_nothing_was_charged(as_alice: Client, order: MakeOrder) -> None:
    made = order()

    page = as_alice.get(f"/billing/cancelled/{made.public_id}/").content.decode()

    made.refresh_from_db()
    assert "Nothing was charged" in page
    assert made.stripe_session_url in page
    assert made.status == Order.Status.OPEN


@pytest.mark.parametrize("status", ["pending", "review", "closed"])
def test_the_cancel_page_of_an_order_that_was_paid_does_not_deny_it(
    as_alice: Client, order: MakeOrder, status: str
) -> None:
    made = order(status=status)

    page = as_alice.get(f"/billing/cancelled/{made.public_id}/").content.decode()

    assert "Nothing was charged" not in page
    assert "This order was paid for" in page


def test_the_return_page_of_a_closed_order_does_not_call_it_expired(
    as_alice: Client, order: MakeOrder, nowhere: None
) -> None:
    order(status="closed", stripe_session_id="cs_test_closed")

    page = as_alice.get("/billing/return/?session_id=cs_test_closed").content.decode()

    assert "has expired" not in page
    assert "t match this order" in page


def test_the_cancel_page_doesnt_offer_an_order_that_has_expired(
    as_alice: Client, order: MakeOrder
) -> None:
    made = order(expires_at=datetime.now(UTC) - timedelta(minutes=1))

    page = as_alice.get(f"/billing/cancelled/{made.public_id}/").content.decode()

    assert made.stripe_session_url not in page


def test_an_order_that_never_was_is_not_found(as_alice: Client) -> None:
    assert as_alice.get(f"/dashboard/orders/{uuid4()}/").status_code == 404
    assert as_alice.get(f"/billing/cancelled/{uuid4()}/").status_code == 404


class TestWithStripe:
    """From the click to the key, with the emulator."""

    @pytest.fixture(autouse=True)
    def set_up(self, stripe: Sandbox) -> None:
        self.stripe = stripe

    def start(self, client: Client) -> Order:
        """Click on Buy; return the order that this made."""
        answer = client.post("/billing/checkout/starter/")
        order = Order.objects.get()
        assert answer.status_code == 302
        assert answer.headers["Location"] == order.stripe_session_url
        return order

    def test_a_payment_ends_in_a_balance_and_the_first_key_shown_once(
        self, alice: User, as_alice: Client, starter: Pack
    ) -> None:
        session_id = self.start(as_alice).stripe_session_id
        assert session_id is not None
        assert self.stripe.pay(session_id) == 200

        first = as_alice.get("/billing/return/", {"session_id": session_id}).content.decode()
        again = as_alice.get("/billing/return/", {"session_id": session_id}).content.decode()

        found = SECRET.search(first)
        assert found is not None
        assert f"Bearer {found[1]}" in first
        assert "1,000,000" in first
        assert found[1] not in again
        assert "Thank you" in again
        assert ApiKey.objects.filter(created_by=alice).count() == 1
        assert read_balance(wallet_of(alice)).available_credits == 1_000_000

    def test_a_page_that_waits_finishes_by_itself(self, as_alice: Client, starter: Pack) -> None:
        session_id = self.start(as_alice).stripe_session_id
        assert session_id is not None
        waiting = as_alice.get("/billing/return/", {"session_id": session_id}).content.decode()
        self.stripe.pay(session_id)

        part = as_alice.get(
            "/billing/return/", {"session_id": session_id, "n": "1"}, headers=HTMX
        ).content.decode()

        assert "Waiting for your payment" in waiting
        assert "Thank you" in part
        assert "<html" not in part
        assert "hx-trigger" not in part

    def test_check_again_finds_a_payment_that_was_missed(
        self, as_alice: Client, starter: Pack
    ) -> None:
        order = self.start(as_alice)
        assert order.stripe_session_id is not None
        self.stripe.pay(order.stripe_session_id)

        page = as_alice.post(f"/dashboard/orders/{order.public_id}/", follow=True)

        order.refresh_from_db()
        assert order.status == Order.Status.FULFILLED
        assert "the credits are in your balance" in page.content.decode()

    def test_bob_gets_neither_the_tokens_nor_the_key(
        self, as_alice: Client, as_bob: Client, starter: Pack
    ) -> None:
        order = self.start(as_alice)
        assert order.stripe_session_id is not None
        self.stripe.pay(order.stripe_session_id)

        answer = as_bob.get("/billing/return/", {"session_id": order.stripe_session_id})

        order.refresh_from_db()
        assert answer.status_code == 404
        assert order.status == Order.Status.OPEN
        assert not ApiKey.objects.exists()
