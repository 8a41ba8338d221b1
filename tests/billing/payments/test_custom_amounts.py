"""An amount of the customer's choice is ordered, paid, refunded and audited like a pack."""

from functools import partial

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.audit.books import audit
from billing.catalogue.custom_amounts import quote_amount
from billing.exceptions import OfferChanged
from billing.models import AmountOffer, Order
from billing.orders.checkout import start_amount_checkout
from billing.orders.checkout_payments import fulfil_checkout
from tests.billing.payments.conftest import hear, posted, status_of
from tests.racing import race
from tests.stripe_sandbox import Sandbox

Status = Order.Status


@pytest.fixture
def offer(sandbox: Sandbox) -> AmountOffer:
    """333,333 credits a dollar, from $10 to $5,000, valid for 90 days."""
    return AmountOffer.objects.create(
        currency="usd",
        least_cents=1_000,
        most_cents=500_000,
        credits_per_unit=333_333,
        validity_days=90,
        is_active=True,
    )


def buy(user: User, cents: int) -> Order:
    return start_amount_checkout(own_seat(user), mark=quote_amount("usd", cents).mark)


def test_it_is_ordered_with_a_snapshot_and_told_to_stripe(
    alice: User, offer: AmountOffer, sandbox: Sandbox
) -> None:
    order = buy(alice, 1_234)

    # 12.34 × 333,333 = 4,113,329.22, rounded down.
    assert (order.pack, order.pack_name, order.credits) == (None, "Custom amount", 4_113_329)
    assert (order.amount_cents, order.currency, order.validity_days) == (1_234, "usd", 90)
    assert sandbox.session(order.stripe_session_id).amount_total == 1_234


def test_it_is_credited_once_and_the_books_add_up(
    alice: User, offer: AmountOffer, sandbox: Sandbox
) -> None:
    order = buy(alice, 1_234)
    sandbox.pay(order.stripe_session_id)

    race([partial(fulfil_checkout, order.stripe_session_id or "")] * 3)

    assert status_of(order) == Status.FULFILLED
    assert posted(alice) == 4_113_329
    assert audit() == []


def test_refunds_in_parts_take_back_exactly_what_was_credited(
    alice: User, offer: AmountOffer, sandbox: Sandbox
) -> None:
    order = buy(alice, 1_234)
    sandbox.pay(order.stripe_session_id)
    charge_id = fulfil_checkout(order.stripe_session_id or "").stripe_charge_id

    parts = (7, 500, 13, 714)
    for cents in parts:
        sandbox.client.v1.refunds.create({"charge": charge_id, "amount": cents})
        hear("charge.refunded", charge_id)
        order.refresh_from_db()
        # The share of all refunds so far, rounded down, not of each.
        assert order.taken_back_credits == 4_113_329 * order.refunded_cents // 1_234

    assert sum(parts) == order.refunded_cents == order.amount_cents
    assert order.taken_back_credits == order.credits
    assert audit() == []


def test_a_second_click_finds_the_open_order(alice: User, offer: AmountOffer) -> None:
    assert buy(alice, 1_234).pk == buy(alice, 1_234).pk
    assert buy(alice, 1_235).pk != buy(alice, 1_234).pk


def test_a_changed_table_orders_nothing_on_terms_that_were_not_shown(
    alice: User, offer: AmountOffer
) -> None:
    mark = quote_amount("usd", 1_234).mark
    AmountOffer.objects.update(credits_per_unit=333_332)

    with pytest.raises(OfferChanged):
        start_amount_checkout(own_seat(alice), mark=mark)

    assert not Order.objects.exists()


def test_an_open_order_keeps_its_terms_when_the_table_changes(
    alice: User, offer: AmountOffer, sandbox: Sandbox, settings: Settings
) -> None:
    order = buy(alice, 1_234)
    AmountOffer.objects.update(credits_per_unit=1)
    sandbox.pay(order.stripe_session_id)

    fulfil_checkout(order.stripe_session_id or "")

    assert posted(alice) == 4_113_329
