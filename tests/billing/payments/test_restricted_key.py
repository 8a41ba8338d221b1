"""The restricted key that the chapter on payments describes: enough for all calls, and no more.

The chapter's tables are read as they stand, so none of them can say something else.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
import stripe
from django.utils import timezone
from pytest_django import Settings

from accounts.teams.members import own_seat, own_team
from billing.exceptions import PaymentProviderRefusal
from billing.models import Pack
from billing.orders.checkout import end_payment_pages, start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.stripe_api import (
    card_payments,
    catalogue,
    customers,
    listing,
    read_charge,
    read_warned_charge,
    refunds,
    saved_cards,
)
from billing.stripe_api.catalogue import CatalogueProduct
from billing.stripe_api.payments import PaymentState
from billing.stripe_inbox.handlers import HANDLERS
from sandbox.stripe.permissions import NAMES
from tests.conftest import person
from tests.stripe_sandbox import Sandbox

CHAPTER = (Path(__file__).parents[3] / "docs" / "payments.md").read_text()
ROWS = re.compile(r"^\| ([A-Za-z ,]+?) \| (read|write) \| .+ \|$", re.MULTILINE)
# What Stripe's dashboard calls a resource, and what its refusals call it.
NAMED = {
    "Charges and Refunds": "charge",
    "Checkout Sessions": "checkout_session",
    "Customers": "customer",
    "Disputes": "dispute",
    "Events": "event",
    "Invoices": "invoice",
    "PaymentIntents": "payment_intent",
    "PaymentMethods": "payment_method",
    "Prices": "plan",
    "Products": "product",
    "Radar": "radar",
    "SetupIntents": "setup_intent",
}
PERMITTED = {
    NAMED[name]: level for names, level in ROWS.findall(CHAPTER) for name in names.split(", ")
}
ID_IN_PATH = re.compile(r"/[a-z]+_(?=\w*[0-9A-Z])\w{10,}")


@pytest.fixture(autouse=True)
def lift(sandbox: Sandbox, settings: Settings) -> Iterator[None]:
    """Ask for all that settings can ask for, and leave an unrestricted key to the next test."""
    settings.STRIPE_INVOICES = True
    yield
    sandbox.control("permissions")


@pytest.fixture
def use(sandbox: Sandbox, pack: Pack) -> Callable[[], None]:
    """Make every call that the product makes to Stripe, as a new customer."""

    def make_all_calls() -> None:
        leaver = person(uuid4().hex)
        start_checkout(own_seat(leaver), pack_slug=pack.slug)
        end_payment_pages(own_team(leaver))
        order = start_checkout(own_seat(person(uuid4().hex)), pack_slug=pack.slug)
        sandbox.pay(order.stripe_session_id)
        order = fulfil_checkout(order.stripe_session_id or "")
        sandbox.control(f"charges/{order.stripe_charge_id}/dispute", amount=100)
        read_charge(order.stripe_charge_id)
        refunds.create_refund(
            order.stripe_payment_intent_id,
            amount_cents=1,
            reason="duplicate",
            order_id=str(order.public_id),
            refund_id=uuid4().hex,
        )
        top_up(sandbox)
        sync()
        lately = timezone.now() - timedelta(minutes=1)
        assert list(listing.list_charges(lately))
        assert listing.list_returned_charges(lately)
        assert listing.list_events(lately, list(HANDLERS))
        warned = sandbox.control(f"charges/{order.stripe_charge_id}/warn")
        read_warned_charge(warned["id"])

    return make_all_calls


def top_up(sandbox: Sandbox) -> None:
    """Save a card, have it declined, and let Stripe forget it."""
    name = uuid4().hex
    customer = customers.create_customer(
        email="alice@example.com", owner_id=name, idempotency_key=name
    )
    customers.update_customer(customer, email="bob@example.com")
    urls = {"success_url": "http://testserver/", "cancel_url": "http://testserver/"}
    setup = saved_cards.create_setup(customer_id=customer, currency="usd", top_up_id=name, **urls)
    sandbox.control(f"checkout/{setup.session_id}/pay", card="4000000000000341")
    saved = saved_cards.read_setup(setup.session_id)
    params = {
        "amount": 900,
        "currency": "usd",
        "customer": customer,
        "payment_method": saved.payment_method_id,
        "confirm": True,
        "off_session": True,
        "allowed_payment_method_types": [*saved_cards.CHARGEABLE],
    }
    intent = card_payments.create_payment(params, idempotency_key=f"pay-{name}")
    assert card_payments.read_payment(intent).state is PaymentState.FAILED
    assert card_payments.find_payment(customer, order_id="none") is None
    card_payments.cancel_payment(intent)
    saved_cards.detach_cards(customer)


def sync() -> None:
    name = f"pack_{uuid4().hex}"
    catalogue.create_product(CatalogueProduct(name, "Starter", "", is_active=True))
    product = catalogue.find_product(name)
    assert product
    catalogue.update_product(product)
    price = catalogue.create_price(
        name, amount_cents=900, currency="usd", lookup_key=name, tax_behavior=None
    )
    assert catalogue.find_price(name)
    catalogue.retire_price(price.price_id)


def test_the_chapter_names_only_what_stripe_has() -> None:
    assert PERMITTED.keys() <= NAMES
    assert len(PERMITTED) == len(NAMED)


def test_what_the_chapter_permits_is_enough(sandbox: Sandbox, use: Callable[[], None]) -> None:
    sandbox.control("permissions", **PERMITTED)

    use()


@pytest.mark.parametrize("name", sorted(NAMED.values()))
def test_nothing_of_it_can_be_left_out(
    sandbox: Sandbox, use: Callable[[], None], name: str
) -> None:
    less = {other: level for other, level in PERMITTED.items() if other != name}
    if PERMITTED[name] == "write":
        less[name] = "read"
    sandbox.control("permissions", **less)

    with pytest.raises(PaymentProviderRefusal):
        use()


def test_the_chapter_names_every_call_with_its_parameters_and_no_other(
    use: Callable[[], None], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    settings.STRIPE_RECEIPT_MAIL = True
    made: dict[str, set[str]] = {}
    request = stripe.RequestsClient.request

    def watch(self: stripe.RequestsClient, method: str, url: str, *args: Any) -> Any:
        path, query = urlsplit(url)[2:4]
        names = {name.partition("[")[0] for name in parse_qs(args[1] or query)}
        call = f"{method.upper()} {ID_IN_PATH.sub('/{id}', path)}"
        made.setdefault(call, set()).update(names)
        return request(self, method, url, *args)

    monkeypatch.setattr(stripe.RequestsClient, "request", watch)
    use()

    _, _, table = CHAPTER.partition("## Every call to Stripe")
    named: dict[str, set[str]] = {}
    for call, parameters in re.findall(r"^\| `([A-Z]+ /[^`]+)` \| (.+?) \| .+ \|$", table, re.M):
        # Of `metadata[order_id]` and `mode=payment` the first word.
        words = re.findall(r"`([a-z_]+)[^`]*`", parameters)
        named.setdefault(call, set()).update(words)
    assert named.keys() == made.keys()
    # The SDK adds a cursor where a list has another page.
    rest = {call: names - named[call] - {"starting_after"} for call, names in made.items()}
    assert {call: names for call, names in rest.items() if names} == {}


def test_the_webhook_of_the_chapter_sends_what_is_handled_and_nothing_else() -> None:
    (sentence,) = re.findall(r"^Point a webhook at .+?\. To rotate", CHAPTER, re.MULTILINE)
    named: list[str] = []
    for word in re.findall(r"`([a-z_.]+)`", sentence):
        # `.expired` goes on from the event before it.
        named.append(named[-1].rpartition(".")[0] + word if word.startswith(".") else word)

    assert sorted(named) == sorted(HANDLERS)
