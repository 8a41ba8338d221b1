import re
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone, translation
from pytest_django import Settings
from stripe.params.checkout import SessionCreateParams

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.exceptions import (
    PackUnavailable,
    PaymentProviderError,
    PaymentProviderRefusal,
    TooManyOrders,
)
from billing.models import InboxItem, Order, Pack, StripeCustomer
from billing.orders.checkout import open_session, start_checkout
from billing.stripe_api import read_checkout
from billing.stripe_api.locales import LOCALES, locale_of
from devstack.ports import free_port
from tests.billing.payments.conftest import status_of
from tests.racing import race
from tests.stripe_sandbox import DECLINES, Sandbox

Status = Order.Status


def test_it_keeps_a_snapshot_of_what_was_ordered(alice: User, pack: Pack) -> None:
    order = start_checkout(own_seat(alice), pack_slug="starter")

    assert order.status == Status.OPEN
    assert (order.pack_name, order.credits, order.validity_days) == (
        "Starter",
        1_000_000,
        30,
    )
    assert (order.amount_cents, order.currency) == (900, "usd")


def test_it_tells_stripe_what_was_ordered_and_by_whom(order: Order, sandbox: Sandbox) -> None:
    session = sandbox.session(order.stripe_session_id)

    assert (session.amount_total, session.currency, session.mode) == (900, "usd", "payment")
    assert session.client_reference_id == str(order.public_id)
    assert session.metadata is not None
    assert session.metadata["order_id"] == str(order.public_id)
    assert session.customer == StripeCustomer.objects.get().stripe_customer_id
    assert session.customer_details
    assert session.customer_details.email == "alice@example.com"
    assert session.expires_at == int(order.expires_at.timestamp())
    assert session.success_url == (
        "http://testserver/billing/return/?session_id={CHECKOUT_SESSION_ID}"
    )
    assert session.cancel_url == f"http://testserver/billing/cancelled/{order.public_id}/"
    assert session.url == order.stripe_session_url


@pytest.mark.parametrize(
    ("language", "locale"), [("de", "de"), ("en", "en"), ("xx", "auto"), ("", None)]
)
def test_the_payment_page_speaks_the_buyers_language(
    alice: User, pack: Pack, sandbox: Sandbox, language: str, locale: str | None
) -> None:
    order = start_checkout(own_seat(alice), pack_slug="starter", language=language)

    assert sandbox.session(order.stripe_session_id).locale == locale


def test_the_sweep_asks_in_the_language_of_the_order(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    order = start_checkout(own_seat(alice), pack_slug="starter", language="de")
    first = order.stripe_session_id
    Order.objects.filter(pk=order.pk).update(stripe_session_id=None)
    order.refresh_from_db()

    # Another request under the same key would be refused.
    with translation.override("en"):
        again = open_session(order)

    assert again.stripe_session_id == first


def test_every_language_of_the_site_has_a_payment_page(settings: Settings) -> None:
    [literal] = re.findall(r"Literal\[[^]]*'zh-TW'\]", str(SessionCreateParams.__annotations__))
    known = set(re.findall(r"'([\w-]+)'", literal))

    assert known >= LOCALES
    assert {locale_of(language) for language, _ in settings.LANGUAGES} <= known - {"auto"}


def test_it_writes_the_order_on_the_charge(paid: Order, sandbox: Sandbox) -> None:
    intent_id = read_checkout(paid.stripe_session_id or "").payment_intent_id

    charge = sandbox.client.v1.charges.retrieve(sandbox.charge_id(intent_id))

    assert charge.metadata["order_id"] == str(paid.public_id)


@pytest.mark.parametrize("slug", ["retired", "unknown", "", "star\x00ter", "../packs", "s" * 51])
def test_it_refuses_a_pack_that_is_not_on_sale(alice: User, pack: Pack, slug: str) -> None:
    Pack.objects.create(name="Retired", slug="retired", credits=1, price_cents=50, is_active=False)

    with pytest.raises(PackUnavailable):
        start_checkout(own_seat(alice), pack_slug=slug)

    assert not Order.objects.exists()


def test_a_second_click_finds_the_open_order(order: Order, alice: User) -> None:
    again = start_checkout(own_seat(alice), pack_slug="starter")

    assert again.pk == order.pk
    assert again.stripe_session_url == order.stripe_session_url


def test_clicks_at_once_make_one_order_and_one_session(
    alice: User, pack: Pack, sandbox: Sandbox
) -> None:
    sessions_before = sandbox.session_count()

    orders = race(
        [lambda: start_checkout(own_seat(alice), pack_slug="starter")] * 4,
        meet_at='INSERT INTO "billing_order"',
    )

    assert len({order.stripe_session_id for order in orders}) == 1
    assert Order.objects.count() == 1
    assert sandbox.session_count() == sessions_before + 1


def test_another_customer_gets_an_order_of_their_own(order: Order, bob: User) -> None:
    assert start_checkout(own_seat(bob), pack_slug="starter").pk != order.pk


def test_a_new_price_makes_a_new_order(order: Order, alice: User) -> None:
    Pack.objects.update(price_cents=1_000)

    again = start_checkout(own_seat(alice), pack_slug="starter")

    assert again.pk != order.pk
    assert again.amount_cents == 1_000


def test_a_declined_card_leaves_the_order_to_be_paid(
    order: Order, alice: User, sandbox: Sandbox
) -> None:
    assert sandbox.pay(order.stripe_session_id, card=DECLINES) == 402

    assert start_checkout(own_seat(alice), pack_slug="starter").pk == order.pk


def test_who_paid_and_buys_again_gets_a_new_order(paid: Order, alice: User) -> None:
    again = start_checkout(own_seat(alice), pack_slug="starter")

    assert again.pk != paid.pk
    assert again.status == Status.OPEN
    assert status_of(paid) == Status.FULFILLED


def test_an_order_about_to_expire_is_not_offered_again(order: Order, alice: User) -> None:
    Order.objects.update(expires_at=timezone.now() + timedelta(minutes=9))

    assert start_checkout(own_seat(alice), pack_slug="starter").pk != order.pk


def test_an_order_of_another_stripe_account_is_not_offered_again(order: Order, alice: User) -> None:
    Order.objects.update(stripe_session_id="cs_test_of_another_account")

    assert start_checkout(own_seat(alice), pack_slug="starter").pk != order.pk


def test_it_refuses_one_order_too_many_that_nobody_pays(
    alice: User, bob: User, pack: Pack, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 3
    make_orders(alice, pack, 3)

    with pytest.raises(TooManyOrders):
        start_checkout(own_seat(alice), pack_slug="starter")

    assert Order.objects.filter(buyer=alice).count() == 3
    assert start_checkout(own_seat(bob), pack_slug="starter").stripe_session_url


def test_orders_that_were_paid_or_are_old_do_not_count(
    alice: User, pack: Pack, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 3
    make_orders(alice, pack, 3)
    first, second, *_ = Order.objects.all()
    Order.objects.filter(pk=first.pk).update(status=Status.FULFILLED, fulfilled_at=timezone.now())
    assert start_checkout(own_seat(alice), pack_slug="starter").stripe_session_url
    Order.objects.filter(pk=second.pk).update(created_at=timezone.now() - timedelta(hours=2))
    Pack.objects.update(price_cents=1_000)

    assert start_checkout(own_seat(alice), pack_slug="starter").stripe_session_url


def test_an_order_that_stripe_refuses_has_failed(alice: User, pack: Pack) -> None:
    # Stripe's least amount in dollars is 50 cents.
    Pack.objects.update(price_cents=1)

    with pytest.raises(PaymentProviderRefusal):
        start_checkout(own_seat(alice), pack_slug="starter")

    assert Order.objects.get().status == Status.FAILED


def test_staff_hear_once_a_day_that_stripe_refuses_to_sell_a_pack(
    alice: User, bob: User, pack: Pack
) -> None:
    # Such as a price that was archived in Stripe's dashboard, or a key that may not sell.
    Pack.objects.update(price_cents=1)

    for user in (alice, bob, alice):
        with pytest.raises(PaymentProviderRefusal):
            start_checkout(own_seat(user), pack_slug="starter")

    item = InboxItem.objects.get()
    assert item.kind == "checkout_refused"
    assert "Starter" in item.summary
    assert "50 cents" in item.summary or "0.50" in item.summary


def test_an_order_that_never_had_a_page_to_pay_it_does_not_count(
    alice: User, pack: Pack, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_USER = 1
    Pack.objects.update(price_cents=1)
    with pytest.raises(PaymentProviderRefusal):
        start_checkout(own_seat(alice), pack_slug="starter")
    Pack.objects.update(price_cents=900)

    assert start_checkout(own_seat(alice), pack_slug="starter").stripe_session_url


def test_an_order_stays_open_while_stripe_does_not_answer(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(PaymentProviderError) as error:
        start_checkout(own_seat(alice), pack_slug="starter")
    assert not isinstance(error.value, PaymentProviderRefusal)
    order = Order.objects.get()
    assert (order.status, order.stripe_session_id) == (Status.OPEN, None)

    settings.STRIPE_API_BASE = sandbox.url
    again = start_checkout(own_seat(alice), pack_slug="starter")

    assert again.pk == order.pk
    assert again.stripe_session_url


def test_an_order_without_a_session_is_given_up_for_a_new_one_after_a_minute(
    order: Order, alice: User
) -> None:
    Order.objects.update(stripe_session_id=None, created_at=timezone.now() - timedelta(seconds=61))

    assert start_checkout(own_seat(alice), pack_slug="starter").pk != order.pk


def test_a_lost_answer_leads_to_the_same_session(order: Order, sandbox: Sandbox) -> None:
    session_id = order.stripe_session_id
    sessions_before = sandbox.session_count()
    Order.objects.update(stripe_session_id=None, stripe_session_url="")
    order.refresh_from_db()

    open_session(order)

    assert order.stripe_session_id == session_id
    assert sandbox.session_count() == sessions_before


def test_stripe_is_never_called_inside_a_transaction(order: Order) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="inside a transaction"):
        read_checkout(order.stripe_session_id or "")


def test_no_database_connection_is_held_while_stripe_is_asked(order: Order) -> None:
    order.refresh_from_db()
    assert connection.connection is not None

    read_checkout(order.stripe_session_id or "")

    assert connection.connection is None


def make_orders(user: User, pack: Pack, count: int) -> None:
    now = timezone.now()
    Order.objects.bulk_create(
        Order(
            team=own_team(user),
            buyer=user,
            pack=pack,
            pack_name=f"Another {number}",
            credits=1,
            amount_cents=50,
            currency="usd",
            expires_at=now + timedelta(hours=1),
        )
        for number in range(count)
    )
