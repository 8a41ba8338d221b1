"""A customer returns the unused part of an order, if the settings say so."""

from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from billing.ledger.credits import post_credit
from billing.ledger.references import OrderCredit
from billing.ledger.wallets import wallet_of
from billing.models import LedgerEntry, Order, Refund
from tests.billing.views.conftest import MakeOrder


@pytest.fixture
def bought(order: MakeOrder, alice: User, settings: Settings) -> Order:
    """1,000,000 credits for $9.00 just now, none of them spent."""
    settings.CUSTOMER_REFUND_DAYS = 14
    paid = order(
        "fulfilled",
        fulfilled_at=timezone.now(),
        paid_cents=900,
        stripe_payment_intent_id="pi_1",
        stripe_charge_id="ch_1",
    )
    post_credit(
        wallet_of(alice).pk,
        kind=LedgerEntry.Kind.PURCHASE,
        amount_credits=1_000_000,
        reference=OrderCredit(paid.public_id),
    )
    return paid


def here(order: Order) -> str:
    return f"/dashboard/orders/{order.public_id}/"


def ask(client: Client, order: Order, once: str = "") -> str:
    answer = client.post(f"{here(order)}refund/", {"once": once or str(uuid4())}, follow=True)
    return answer.content.decode()


def test_the_order_offers_it_and_a_page_says_what_is_returned(
    as_alice: Client, bought: Order
) -> None:
    order_page = as_alice.get(here(bought)).content.decode()
    page = as_alice.get(f"{here(bought)}refund/").content.decode()

    assert f"{here(bought)}refund/" in order_page
    assert "$9.00" in page
    assert "1,000,000" in page
    assert not Refund.objects.exists()


def test_it_is_asked_for_once_however_often_the_button_is_pressed(
    as_alice: Client, bought: Order
) -> None:
    once = str(uuid4())

    first = ask(as_alice, bought, once)
    ask(as_alice, bought, once)

    made = Refund.objects.get()
    assert (made.amount_cents, made.actor, made.is_unused_part) == (900, None, True)
    assert "$9.00 will be returned to you" in first
    assert "On its way" in first


def test_it_is_not_offered_unless_the_settings_say_so(
    as_alice: Client, bought: Order, settings: Settings
) -> None:
    settings.CUSTOMER_REFUND_DAYS = 0

    order_page = as_alice.get(here(bought)).content.decode()
    answer = ask(as_alice, bought)

    assert "refund/" not in order_page
    assert "be returned here any more" in answer
    assert not Refund.objects.exists()


def test_bob_can_neither_see_nor_return_what_alice_bought(as_bob: Client, bought: Order) -> None:
    assert as_bob.get(f"{here(bought)}refund/").status_code == 404
    assert as_bob.post(f"{here(bought)}refund/", {"once": str(uuid4())}).status_code == 404
    assert not Refund.objects.exists()


@pytest.mark.parametrize("once", ["", "no-uuid"])
def test_a_form_that_was_tampered_with_returns_nothing(
    as_alice: Client, bought: Order, once: str
) -> None:
    page = as_alice.post(f"{here(bought)}refund/", {"once": once}, follow=True)

    assert "Nothing was refunded" in page.content.decode()
    assert not Refund.objects.exists()
