"""Receipts and invoices are read from Stripe when somebody wants one: their addresses end."""

from collections.abc import Iterator
from typing import Any

import pytest
import stripe
from django.contrib.messages import get_messages
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.models import AutoTopUp, Order, Pack
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.orders.questions import MOST_PER_HOUR
from devstack.ports import free_port
from tests.conftest import signed_in
from tests.stripe_sandbox import Sandbox


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


def ask(client: Client, order: Order, kind: str) -> tuple[str, list[str]]:
    """Return where the link leads, and what is said there."""
    answer = client.get(f"/dashboard/orders/{order.public_id}/{kind}/")
    assert answer.status_code == 302
    return answer.headers["Location"], [str(each) for each in get_messages(answer.wsgi_request)]


def test_a_receipt_is_shown_where_stripe_shows_it_now(
    as_alice: Client, fulfilled: Order, sandbox: Sandbox
) -> None:
    sandbox.tamper(fulfilled.stripe_charge_id, receipt_url="https://pay.stripe.com/receipts/new")

    assert ask(as_alice, fulfilled, "receipt") == ("https://pay.stripe.com/receipts/new", [])


def test_an_invoice_is_shown_where_stripe_shows_it_now(
    as_alice: Client, alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_INVOICES = True
    order = start_checkout(own_seat(alice), pack_slug=pack.slug)
    sandbox.pay(order.stripe_session_id)
    order = fulfil_checkout(order.stripe_session_id or "")
    invoice_id = sandbox.session(order.stripe_session_id).invoice
    sandbox.tamper(str(invoice_id), hosted_invoice_url="https://invoice.stripe.com/i/new")

    assert ask(as_alice, order, "invoice") == ("https://invoice.stripe.com/i/new", [])


def test_an_order_without_such_a_document_says_so(
    as_alice: Client, fulfilled: Order, sandbox: Sandbox
) -> None:
    page = f"/dashboard/orders/{fulfilled.public_id}/"

    url, said = ask(as_alice, fulfilled, "invoice")
    assert (url, "no such document" in said[0]) == (page, True)

    cache.clear()
    sandbox.forget()
    url, said = ask(as_alice, fulfilled, "receipt")
    assert (url, "no such document" in said[-1]) == (page, True)


def test_stripe_is_asked_once_in_five_minutes(
    as_alice: Client, fulfilled: Order, sandbox: Sandbox
) -> None:
    first = ask(as_alice, fulfilled, "receipt")
    sandbox.tamper(fulfilled.stripe_charge_id, receipt_url="https://pay.stripe.com/receipts/new")

    again = ask(as_alice, fulfilled, "receipt")
    cache.delete(f"document:{fulfilled.pk}:receipt")
    later = ask(as_alice, fulfilled, "receipt")

    assert again == first
    assert later == ("https://pay.stripe.com/receipts/new", [])


def test_a_document_that_is_not_there_is_not_asked_for_again_either(
    as_alice: Client, fulfilled: Order, settings: Settings
) -> None:
    _, said = ask(as_alice, fulfilled, "invoice")
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    _, said_again = ask(as_alice, fulfilled, "invoice")

    assert said_again[-1] == said[-1]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("get", "/dashboard/orders/{order}/receipt/"),
        ("post", "/dashboard/orders/{order}/"),
        ("get", "/billing/return/?session_id={session}"),
        ("get", "/dashboard/top-up/saved/?session_id={session}"),
        ("post", "/billing/checkout/starter/"),
    ],
)
def test_whatever_is_clicked_asks_stripe_only_so_often(
    as_alice: Client,
    order: Order,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
) -> None:
    AutoTopUp.objects.create(wallet=order.team.wallet, stripe_setup_session_id="cs_test_setup")
    session_id = "cs_test_setup" if "saved" in path else order.stripe_session_id
    Order.objects.filter(pk=order.pk).update(stripe_charge_id="ch_1")
    url = path.format(order=order.public_id, session=session_id)
    asked: list[str] = []
    request = stripe.RequestsClient.request

    def watch(self: stripe.RequestsClient, verb: str, at: str, *args: Any) -> Any:
        asked.append(f"{verb} {at}")
        return request(self, verb, at, *args)

    monkeypatch.setattr(stripe.RequestsClient, "request", watch)
    cache.set(f"stripe-questions:{User.objects.get().pk}", MOST_PER_HOUR, 3_600)
    getattr(as_alice, method)(url)
    assert asked == []
    cache.clear()
    getattr(as_alice, method)(url)

    assert asked != []


def test_who_asks_too_often_is_told(alice: User, as_alice: Client, fulfilled: Order) -> None:
    cache.set(f"stripe-questions:{alice.pk}", MOST_PER_HOUR, 3_600)

    url, said = ask(as_alice, fulfilled, "receipt")

    assert url == f"/dashboard/orders/{fulfilled.public_id}/"
    assert "asked too often" in said[0]


def test_a_stripe_that_does_not_answer_is_told(
    as_alice: Client, fulfilled: Order, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"

    url, said = ask(as_alice, fulfilled, "receipt")

    assert url == f"/dashboard/orders/{fulfilled.public_id}/"
    assert "didn't answer" in said[0]
