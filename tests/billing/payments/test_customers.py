"""A wallet has one Customer at Stripe; one that is gone there is made anew."""

import pytest
from pytest_django import Settings

from accounts.models import User
from accounts.teams.company import Details, save_details
from accounts.teams.members import own_seat, own_team
from billing.customers.at_stripe import follow_addresses
from billing.leaving.address import give_address
from billing.leaving.deletion import delete_account
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
    order = start_checkout(own_seat(user), pack_slug=pack.slug)
    assert sandbox.pay(order.stripe_session_id) == 200
    return fulfil_checkout(order.stripe_session_id or "")


def test_every_checkout_and_set_up_names_the_same_one(
    alice: User, bob: User, pack: Pack, sandbox: Sandbox
) -> None:
    first, second, others = (buy(user, pack, sandbox) for user in (alice, alice, bob))
    agree(own_seat(alice), TERMS)
    start_setup(own_seat(alice))
    set_up = sandbox.session(get_top_up(own_team(alice)).stripe_setup_session_id)

    assert customer_of(first, sandbox) == customer_of(second, sandbox) == set_up.customer
    assert customer_of(others, sandbox) != customer_of(first, sandbox)
    assert len(sandbox.client.v1.customers.list().data) == 2


def test_two_first_checkouts_at_once_make_one(alice: User, pack: Pack, sandbox: Sandbox) -> None:
    other = Pack.objects.create(name="Big", slug="big", credits=2_000_000, price_cents=1_700)

    orders = race(
        [
            lambda: start_checkout(own_seat(alice), pack_slug=pack.slug),
            lambda: start_checkout(own_seat(alice), pack_slug=other.slug),
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


def test_stripe_is_told_of_a_confirmed_address_without_an_order(
    alice: User, bob: User, pack: Pack, sandbox: Sandbox
) -> None:
    known = customer_of(buy(alice, pack, sandbox), sandbox)
    others = customer_of(buy(bob, pack, sandbox), sandbox)
    give_address(alice, "alicia@example.com")

    assert [follow_addresses(), follow_addresses()] == [1, 0]

    assert sandbox.client.v1.customers.retrieve(known).email == "alicia@example.com"
    assert sandbox.client.v1.customers.retrieve(others).email == bob.email
    assert StripeCustomer.objects.get(stripe_customer_id=known).email == "alicia@example.com"


def test_an_address_waits_while_stripe_is_away(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    known = customer_of(buy(alice, pack, sandbox), sandbox)
    give_address(alice, "alicia@example.com")

    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    assert follow_addresses() == 0
    settings.STRIPE_API_BASE = sandbox.url
    assert follow_addresses() == 1

    assert sandbox.client.v1.customers.retrieve(known).email == "alicia@example.com"


def test_stripe_is_not_told_the_name_of_a_deleted_account(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    known = customer_of(buy(alice, pack, sandbox), sandbox)
    delete_account(alice)

    assert follow_addresses() == 0
    assert "deleted" not in str(sandbox.client.v1.customers.retrieve(known).email)


def test_invoices_ask_for_what_a_company_needs_and_keep_it(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_INVOICES = True

    session = sandbox.session(
        start_checkout(own_seat(alice), pack_slug=pack.slug).stripe_session_id
    )

    assert session.billing_address_collection == "required"
    assert session.tax_id_collection
    assert session.tax_id_collection.enabled


def test_a_company_types_its_address_and_tax_id_once(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_INVOICES = True
    invoices = []

    for typed in ({"country": "DE", "tax_id": "DE123456789"}, {}):
        order = start_checkout(own_seat(alice), pack_slug=pack.slug)
        sandbox.control(f"checkout/{order.stripe_session_id}/pay", **typed)
        session = sandbox.session(order.stripe_session_id)
        invoices.append(sandbox.client.v1.invoices.retrieve(str(session.invoice)))
        fulfil_checkout(order.stripe_session_id or "")

    for invoice in invoices:
        assert invoice.customer_address
        assert invoice.customer_address.country == "DE"
        assert [each.value for each in invoice.customer_tax_ids or []] == ["DE123456789"]


def test_a_code_for_a_first_payment_is_taken_once(
    alice: User, bob: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    coupon = sandbox.client.v1.coupons.create({"percent_off": 50})
    sandbox.client.v1.promotion_codes.create(
        {
            "code": "FIRST",
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "restrictions": {"first_time_transaction": True},
        }
    )

    def redeem(user: User) -> int | None:
        order = start_checkout(own_seat(user), pack_slug=pack.slug)
        page = f"/c/pay/{order.stripe_session_id}"
        sandbox.http.post(page, data={"action": "code", "code": "FIRST"})
        assert sandbox.pay(order.stripe_session_id) == 200
        return fulfil_checkout(order.stripe_session_id or "").paid_cents

    assert [redeem(alice), redeem(alice), redeem(bob)] == [
        450,
        900,
        450,
    ]


def test_a_code_for_one_customer_is_nobody_else_s(
    alice: User, bob: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    buy(alice, pack, sandbox)
    coupon = sandbox.client.v1.coupons.create({"percent_off": 50})
    sandbox.client.v1.promotion_codes.create(
        {
            "code": "ALICE",
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "customer": StripeCustomer.objects.get(wallet__team__person=alice).stripe_customer_id,
        }
    )

    def total(user: User) -> int | None:
        order = start_checkout(own_seat(user), pack_slug=pack.slug)
        page = f"/c/pay/{order.stripe_session_id}"
        sandbox.http.post(page, data={"action": "code", "code": "ALICE"})
        return sandbox.session(order.stripe_session_id).amount_total

    assert (total(alice), total(bob)) == (450, 900)


def test_stripe_is_told_of_a_company_once_for_each_change(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    seat = own_seat(alice)
    other = Pack.objects.create(name="Big", slug="big", credits=2_000_000, price_cents=1_700)
    save_details(seat, Details(name="Acme GmbH", street="Hauptstr. 1", city="Berlin", country="DE"))
    order = start_checkout(seat, pack_slug=pack.slug)
    customer_id = customer_of(order, sandbox)
    first = sandbox.client.v1.customers.retrieve(customer_id)
    # What is typed on the payment page stays, as long as nothing is changed here.
    sandbox.pay(order.stripe_session_id)
    fulfil_checkout(order.stripe_session_id or "")
    start_checkout(seat, pack_slug=pack.slug)
    kept = sandbox.client.v1.customers.retrieve(customer_id)

    save_details(seat, Details(name="Acme AG"))
    start_checkout(seat, pack_slug=other.slug)

    assert (first.name, first.address and first.address.city) == ("Acme GmbH", "Berlin")
    assert kept.name == "Test Customer"
    assert sandbox.client.v1.customers.retrieve(customer_id).name == "Acme AG"
