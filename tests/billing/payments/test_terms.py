"""On what terms an order is sold: currencies, the catalogue, discounts, tax, invoices, limits."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat
from billing.catalogue.stripe_sync import sync_packs
from billing.exceptions import PackUnavailable, TooManyOrders
from billing.models import Notice, Order, Pack, PackPrice
from billing.orders.checkout import start_checkout
from billing.orders.checkout_payments import fulfil_checkout
from common.client_networks import client_network
from tests.billing.payments.conftest import hear, posted
from tests.racing import race
from tests.stripe_sandbox import Sandbox

Status = Order.Status


@pytest.fixture
def euros(pack: Pack) -> PackPrice:
    """The pack for €8.00 as well."""
    return PackPrice.objects.create(pack=pack, currency="eur", price_cents=800)


def buy(user: User, sandbox: Sandbox, *, currency: str = "", **paying: Any) -> Order:
    order = start_checkout(own_seat(user), pack_slug="starter", currency=currency)
    sandbox.control(f"checkout/{order.stripe_session_id}/pay", **paying)
    return fulfil_checkout(order.stripe_session_id or "")


def make_code(sandbox: Sandbox, code: str, percent_off: int) -> None:
    coupon = sandbox.client.v1.coupons.create({"percent_off": percent_off, "duration": "once"})
    sandbox.client.v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": code}
    )


def test_a_pack_is_sold_in_the_currency_that_was_chosen(
    alice: User, euros: PackPrice, sandbox: Sandbox
) -> None:
    order = buy(alice, sandbox, currency="eur")

    assert (order.status, order.amount_cents, order.currency) == (Status.FULFILLED, 800, "eur")
    assert order.paid_cents == 800
    assert posted(alice) == 1_000_000


@pytest.mark.parametrize("currency", ["gbp", "EUR", "€"])
def test_a_currency_that_the_pack_does_not_have_is_refused(
    alice: User, euros: PackPrice, currency: str
) -> None:
    with pytest.raises(PackUnavailable):
        start_checkout(own_seat(alice), pack_slug="starter", currency=currency)

    assert not Order.objects.exists()


def test_another_currency_makes_another_order(order: Order, alice: User) -> None:
    assert order.pack is not None
    PackPrice.objects.create(pack=order.pack, currency="eur", price_cents=800)

    other = start_checkout(own_seat(alice), pack_slug="starter", currency="eur")

    assert other.pk != order.pk


class TestCatalogue:
    """`sync_packs` and what is sold by it. Slugs are fresh: the emulator outlives a test."""

    @pytest.fixture(autouse=True)
    def set_up(self, pack: Pack, euros: PackPrice, sandbox: Sandbox) -> None:
        pack.slug = f"starter-{sandbox.session_count()}-{pack.pk}"
        pack.save()
        self.pack, self.euros, self.sandbox = pack, euros, sandbox

    def price(self, price_id: str) -> Any:
        return self.sandbox.client.v1.prices.retrieve(price_id)

    def reload(self) -> None:
        self.pack.refresh_from_db()
        self.euros.refresh_from_db()

    def test_it_makes_a_product_and_a_price_for_each_currency(self) -> None:
        done = sync_packs()

        self.reload()
        product = self.sandbox.client.v1.products.retrieve(self.pack.stripe_product_id)
        assert (product.name, product.active) == ("Starter", True)
        dollars, euros = (
            self.price(self.pack.stripe_price_id),
            self.price(self.euros.stripe_price_id),
        )
        assert (dollars.unit_amount, dollars.currency) == (900, "usd")
        assert (euros.unit_amount, euros.currency) == (800, "eur")
        assert len(done) == 3

    def test_once_more_changes_nothing(self) -> None:
        sync_packs()
        self.reload()
        before = (self.pack.stripe_price_id, self.euros.stripe_price_id)

        assert sync_packs() == []

        self.reload()
        assert (self.pack.stripe_price_id, self.euros.stripe_price_id) == before

    def test_a_sync_that_died_finds_what_it_made(self) -> None:
        sync_packs()
        self.reload()
        made = self.pack.stripe_price_id
        Pack.objects.update(stripe_product_id="", stripe_price_id="", stripe_price_terms="")

        sync_packs()

        self.reload()
        assert self.pack.stripe_price_id == made

    def test_a_new_amount_makes_a_new_price_and_retires_the_old_one(self) -> None:
        sync_packs()
        self.reload()
        old = self.pack.stripe_price_id
        Pack.objects.update(price_cents=1_000, name="Starter plus")

        sync_packs()

        self.reload()
        assert self.price(old).active is False
        assert self.price(self.pack.stripe_price_id).unit_amount == 1_000
        product = self.sandbox.client.v1.products.retrieve(self.pack.stripe_product_id)
        assert product.name == "Starter plus"

    def test_a_pack_off_sale_is_off_sale_at_stripe(self) -> None:
        sync_packs()
        Pack.objects.update(is_active=False)

        sync_packs()

        self.reload()
        product = self.sandbox.client.v1.products.retrieve(self.pack.stripe_product_id)
        assert product.active is False

    def test_an_order_is_sold_at_the_catalogues_price(self, alice: User) -> None:
        call_command("sync_packs")
        self.reload()

        order = start_checkout(own_seat(alice), pack_slug=self.pack.slug, currency="eur")
        self.sandbox.pay(order.stripe_session_id)
        fulfil_checkout(order.stripe_session_id or "")

        assert order.stripe_price_id == self.euros.stripe_price_id
        items = self.sandbox.client.v1.checkout.sessions.line_items.list(
            order.stripe_session_id or ""
        )
        assert items.data[0].price is not None
        assert items.data[0].price.id == self.euros.stripe_price_id
        assert posted(alice) == 1_000_000

    def test_a_pack_edited_since_the_sync_is_sold_inline(self, alice: User) -> None:
        sync_packs()
        Pack.objects.update(price_cents=1_000)

        order = start_checkout(own_seat(alice), pack_slug=self.pack.slug)
        self.sandbox.pay(order.stripe_session_id)

        assert order.stripe_price_id == ""
        assert fulfil_checkout(order.stripe_session_id or "").paid_cents == 1_000


def test_a_discount_is_paid_less_and_credited_in_full(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    make_code(sandbox, f"THIRD{pack.pk}", 33)

    order = buy(alice, sandbox, promotion_code=f"THIRD{pack.pk}")

    assert order.status == Status.FULFILLED
    assert (order.paid_cents, order.discount_cents) == (603, 297)
    assert posted(alice) == 1_000_000
    # The receipt says what was paid, not the price.
    assert Notice.objects.get(kind="purchase").facts["amount_cents"] == 603


def test_a_refund_of_a_discounted_order_is_a_share_of_what_was_paid(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    make_code(sandbox, f"HALF{pack.pk}", 50)
    order = buy(alice, sandbox, promotion_code=f"HALF{pack.pk}")
    sandbox.refund(order.stripe_payment_intent_id, 225)

    hear("charge.refunded", order.stripe_charge_id)

    order.refresh_from_db()
    assert (order.paid_cents, order.taken_back_credits) == (450, 500_000)


def test_an_order_that_a_code_made_free_is_credited(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_PROMOTION_CODES = True
    make_code(sandbox, f"FREE{pack.pk}", 100)

    order = buy(alice, sandbox, promotion_code=f"FREE{pack.pk}")

    assert (order.status, order.paid_cents) == (Status.FULFILLED, 0)
    assert posted(alice) == 1_000_000


@pytest.mark.parametrize(("is_included", "paid"), [(False, 1_071), (True, 900)])
def test_tax_is_paid_on_top_or_within(  # noqa: PLR0917  # pytest names them
    alice: User,
    pack: Pack,
    sandbox: Sandbox,
    settings: Settings,
    is_included: bool,
    paid: int,
) -> None:
    settings.STRIPE_AUTOMATIC_TAX = True
    settings.PRICES_INCLUDE_TAX = is_included

    order = buy(alice, sandbox, country="DE")

    assert order.status == Status.FULFILLED
    assert order.paid_cents == paid
    assert order.tax_cents == (144 if is_included else 171)


def test_an_invoice_is_linked_from_the_order(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_INVOICES = True

    order = buy(alice, sandbox)

    assert order.invoice_url
    assert sandbox.http.get(order.invoice_url).status_code == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount_subtotal", 899),
        ("amount_subtotal", None),
        ("total_details.amount_discount", 300),
        ("total_details.amount_tax", 100),
    ],
)
def test_what_was_not_sold_on_our_terms_waits_for_a_person(
    paid: Order, alice: User, sandbox: Sandbox, field: str, value: object
) -> None:
    sandbox.tamper(paid.stripe_session_id, **{field: value})

    order = fulfil_checkout(paid.stripe_session_id or "")

    assert order.status == Status.REVIEW
    assert posted(alice) == 0


def test_an_address_that_pays_nothing_is_refused_whoever_asks(
    alice: User, bob: User, pack: Pack, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_ADDRESS = 1
    start_checkout(own_seat(alice), pack_slug="starter", address="203.0.113.9")

    with pytest.raises(TooManyOrders):
        start_checkout(own_seat(bob), pack_slug="starter", address="203.0.113.9")

    assert start_checkout(
        own_seat(bob), pack_slug="starter", address="203.0.113.10"
    ).stripe_session_url


@pytest.mark.parametrize(
    ("setting", "refused"),
    [("PAID_ORDERS_PER_USER", {"alice"}), ("PAID_ORDERS_PER_ADDRESS", {"alice", "bob"})],
)
def test_who_pays_too_many_orders_within_an_hour_is_refused(  # noqa: PLR0917  # fixtures
    setting: str,
    refused: set[str],
    alice: User,
    bob: User,
    pack: Pack,
    sandbox: Sandbox,
    settings: Settings,
) -> None:
    setattr(settings, setting, 1)
    order = start_checkout(own_seat(alice), pack_slug="starter", address="203.0.113.9")
    sandbox.pay(order.stripe_session_id)
    fulfil_checkout(order.stripe_session_id or "")

    def is_refused(user: User) -> bool:
        try:
            start_checkout(own_seat(user), pack_slug="starter", address="203.0.113.9")
        except TooManyOrders:
            return True
        return False

    assert {name for name, user in (("alice", alice), ("bob", bob)) if is_refused(user)} == refused
    Order.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert not is_refused(alice)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("", None),
        ("unix:", None),
    ],
)
def test_an_address_stands_for_a_customers_connection(address: str, network: str | None) -> None:
    assert client_network(address) == network


def test_orders_at_once_from_one_address_keep_the_limit_together(
    alice: User, bob: User, pack: Pack, settings: Settings
) -> None:
    settings.UNPAID_ORDERS_PER_ADDRESS = 1

    def order(user: User) -> bool:
        try:
            return bool(start_checkout(own_seat(user), pack_slug="starter", address="203.0.113.9"))
        except TooManyOrders:
            return False

    were_taken = race(
        [partial(order, user) for user in (alice, bob)], meet_at='INSERT INTO "billing_order"'
    )

    assert sorted(were_taken) == [False, True]
