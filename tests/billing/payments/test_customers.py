"""A wallet has one Customer at Stripe; one that is gone there is made anew."""

import pytest
from pytest_django import Settings

from accounts.models import User
from billing.models import Order, Pack, StripeCustomer
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from billing.top_ups.agreement import agree, get_top_up
from billing.top_ups.cards import start_setup
from tests.billing.payments.conftest import posted
from tests.billing.top_ups.conftest import TERMS
from tests.racing import race
from tests.stripe_sandbox import Sandbox


def customer_of(order: Order, sandbox: Sandbox) -> str:
    return str(sandbox.session(order.stripe_session_id).customer)


def buy(user: User, pack: Pack, sandbox: Sandbox) -> Order:
    order = start_checkout(user, pack_slug=pack.slug)
    assert sandbox.pay(order.stripe_session_id) == 200
    return fulfil_checkout(order.stripe_session_id or "")


def test_every_checkout_and_set_up_names_the_same_one(
    alice: User, bob: User, pack: Pack, sandbox: Sandbox
) -> None:
    first, second, others = (buy(user, pack, sandbox) for user in (alice, alice, bob))
    agree(alice, TERMS)
    start_setup(alice)
    set_up = sandbox.session(get_top_up(alice).stripe_setup_session_id)

    assert customer_of(first, sandbox) == customer_of(second, sandbox) == set_up.customer
    assert customer_of(others, sandbox) != customer_of(first, sandbox)
    assert len(sandbox.client.v1.customers.list().data) == 2


def test_two_first_checkouts_at_once_make_one(alice: User, pack: Pack, sandbox: Sandbox) -> None:
    other = Pack.objects.create(name="Big", slug="big", credits=2_000_000, price_cents=1_700)

    orders = race(
        [
            lambda: start_checkout(alice, pack_slug=pack.slug),
            lambda: start_checkout(alice, pack_slug=other.slug),
        ],
        meet_at='SELECT "billing_stripecustomer"',
    )

    assert len({customer_of(order, sandbox) for order in orders}) == 1


@pytest.mark.parametrize("is_deleted", [True, False], ids=["deleted", "of-another-account"])
def test_one_that_is_gone_is_made_anew_with_the_next_order(
    is_deleted: bool, alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    gone = customer_of(buy(alice, pack, sandbox), sandbox)
    if is_deleted:
        sandbox.client.v1.customers.delete(gone)
    else:
        sandbox.forget()

    order = buy(alice, pack, sandbox)

    assert customer_of(order, sandbox) != gone
    assert posted(alice) == 2_000_000


def test_one_that_is_gone_is_made_anew_when_its_address_changes(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    gone = customer_of(buy(alice, pack, sandbox), sandbox)
    sandbox.client.v1.customers.delete(gone)
    User.objects.filter(pk=alice.pk).update(email="alicia@example.com")

    assert customer_of(buy(User.objects.get(pk=alice.pk), pack, sandbox), sandbox) != gone


def test_its_address_follows_the_account_s(alice: User, pack: Pack, sandbox: Sandbox) -> None:
    known = customer_of(buy(alice, pack, sandbox), sandbox)
    User.objects.filter(pk=alice.pk).update(email="alicia@example.com")

    buy(User.objects.get(pk=alice.pk), pack, sandbox)

    assert sandbox.client.v1.customers.retrieve(known).email == "alicia@example.com"
    assert StripeCustomer.objects.get().email == "alicia@example.com"


def test_invoices_ask_for_what_a_company_needs_and_keep_it(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_INVOICES = True

    session = sandbox.session(start_checkout(alice, pack_slug=pack.slug).stripe_session_id)

    assert session.billing_address_collection == "required"
    assert session.tax_id_collection
    assert session.tax_id_collection.enabled
