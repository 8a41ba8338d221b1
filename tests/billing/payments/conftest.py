"""Alice buys, Bob buys beside her; Stripe is the emulator, PostgreSQL is real."""

from typing import Any

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.models import LedgerEntry, Order, Pack, StripeEvent, Wallet
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.stripe_inbox.events import process_due_events, receive_event
from tests.stripe_sandbox import Sandbox, event_body, sign, use_sandbox


@pytest.fixture(autouse=True)
def sandbox(stripe_process: Sandbox, settings: Settings, transactional_db: None) -> Sandbox:
    """The emulator, empty, and the site set up to use it. Every test sees its own commits."""
    stripe_process.forget()
    use_sandbox(stripe_process, settings)
    settings.SITE_URL = "http://testserver"
    return stripe_process


@pytest.fixture
def pack() -> Pack:
    """1,000,000 credits for $9.00, valid for 30 days."""
    return Pack.objects.create(
        name="Starter",
        slug="starter",
        credits=1_000_000,
        price_cents=900,
        currency="usd",
        validity_days=30,
    )


@pytest.fixture
def order(alice: User, pack: Pack) -> Order:
    """Alice's order of the pack, ready to be paid."""
    return start_checkout(own_seat(alice), pack_slug=pack.slug)


@pytest.fixture
def paid(order: Order, sandbox: Sandbox) -> Order:
    """Alice's order, paid at Stripe; we have not heard of it yet."""
    assert sandbox.pay(order.stripe_session_id) == 200
    return order


@pytest.fixture
def fulfilled(paid: Order) -> Order:
    """$9.00 paid for 1,000,000 credits, and credited."""
    return fulfil_checkout(paid.stripe_session_id or "")


@pytest.fixture
def charge_id(fulfilled: Order) -> str:
    """The charge that paid for the order."""
    return fulfilled.stripe_charge_id


def hear(kind: str, object_id: str, **subject: Any) -> StripeEvent:
    body = event_body(kind, id=object_id, **subject)
    event = receive_event(body, sign(body))
    process_due_events()
    event.refresh_from_db()
    assert event.processed_at is not None, event.error
    return event


def posted(user: User) -> int:
    """Return a person's posted credits, and check that the ledger adds up to them."""
    entries = LedgerEntry.objects.filter(wallet__team__person=user)
    total = sum(entries.values_list("amount_credits", flat=True))
    wallet = Wallet.objects.filter(team__person=user).first()
    assert total == (wallet.posted_credits if wallet else 0)
    return total


def status_of(order: Order) -> str:
    order.refresh_from_db()
    return order.status
