"""Alice tops up below 200,000 credits, by a pack of 1,000,000 for $9.00, up to $30.00 a month."""

from collections.abc import Callable
from typing import Any

import pytest
import stripe
from django.test import Client
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.models import AutoTopUp, LedgerEntry, Order, Pack
from billing.top_ups.agreement import Terms, agree, get_top_up
from billing.top_ups.cards import finish_setup, start_setup
from tests.billing.payments.conftest import pack as pack  # noqa: PLC0414 - a fixture
from tests.billing.payments.conftest import sandbox as sandbox  # noqa: PLC0414 - a fixture
from tests.conftest import signed_in
from tests.stripe_sandbox import PAYS, Sandbox

DECLINED_LATER = "4000000000000341"
ASKS_ALWAYS = "4000002760003184"
BANK = "bank"
TERMS = Terms("starter", "usd", threshold_credits=200_000, monthly_ceiling_cents=3_000)

SaveCard = Callable[..., AutoTopUp]


@pytest.fixture
def save_card(sandbox: Sandbox, pack: Pack, settings: Settings) -> SaveCard:
    """Agree and save a card, as a person does; a card may turn bad afterwards."""
    settings.AUTO_TOP_UP = True

    def save(
        user: User, *, turns: str = "", method: str = "card", terms: Terms = TERMS
    ) -> AutoTopUp:
        agree(own_seat(user), terms, address="192.0.2.7")
        start_setup(own_seat(user))
        session_id = get_top_up(own_team(user)).stripe_setup_session_id
        sandbox.control(f"checkout/{session_id}/pay", card=PAYS, method=method, save="yes")
        assert finish_setup(session_id)
        found = get_top_up(own_team(user))
        if turns:
            sandbox.control(f"payment_methods/{found.stripe_payment_method_id}/card", card=turns)
        return found

    return save


@pytest.fixture
def attach_card(sandbox: Sandbox, pack: Pack) -> SaveCard:
    """Save a card without Checkout, for tests that need many customers."""
    methods = {"card": "pm_card_visa", BANK: "pm_usBankAccount_success"}

    def attach(
        user: User, *, turns: str = "", method: str = "card", terms: Terms = TERMS
    ) -> AutoTopUp:
        agree(own_seat(user), terms)
        stripe_api = sandbox.client.v1
        customer = stripe_api.customers.create({})
        saved = stripe_api.payment_methods.attach(methods[method], {"customer": customer.id})
        if turns:
            sandbox.control(f"payment_methods/{saved.id}/card", card=turns)
        AutoTopUp.objects.filter(wallet__team__person=user).update(
            stripe_customer_id=customer.id,
            stripe_payment_method_id=saved.id,
            state=AutoTopUp.State.ON,
        )
        return get_top_up(own_team(user))

    return attach


@pytest.fixture
def top_up(alice: User, save_card: SaveCard) -> AutoTopUp:
    """Alice's, switched on, with a card that pays. Her balance is 0."""
    return save_card(alice)


@pytest.fixture
def as_alice(alice: User) -> Client:
    return signed_in(alice)


@pytest.fixture
def lost_answer(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Stripe does what it is asked for, and the answer to a new payment is lost."""
    request = stripe.RequestsClient.request

    def lose(self: stripe.RequestsClient, method: str, url: str, *args: Any) -> Any:
        answer = request(self, method, url, *args)
        if method == "post" and url.endswith("/v1/payment_intents"):
            raise stripe.APIConnectionError("Timed out.")  # type: ignore[no-untyped-call]
        return answer

    monkeypatch.setattr(stripe.RequestsClient, "request", lose)
    return monkeypatch


def succeeded(sandbox: Sandbox, top_up: AutoTopUp) -> list[str]:
    """Return the payments of a customer that went through at Stripe."""
    found = sandbox.client.v1.payment_intents.list(
        {"customer": top_up.stripe_customer_id, "limit": 100}
    )
    return [intent.id for intent in found.auto_paging_iter() if intent.status == "succeeded"]


def intents(sandbox: Sandbox, top_up: AutoTopUp) -> list[str]:
    found = sandbox.client.v1.payment_intents.list(
        {"customer": top_up.stripe_customer_id, "limit": 100}
    )
    return [intent.id for intent in found.auto_paging_iter()]


def orders_of(user: User) -> list[str]:
    """Return the states of a person's top-ups, the newest first."""
    found = Order.objects.filter(buyer=user, channel=Order.Channel.TOP_UP)
    return list(found.values_list("status", flat=True))


def credited(user: User) -> int:
    """Return what a person's orders credited, taken back or not."""
    entries = LedgerEntry.objects.filter(wallet__team__person=user, kind="purchase")
    return sum(entries.values_list("amount_credits", flat=True))
