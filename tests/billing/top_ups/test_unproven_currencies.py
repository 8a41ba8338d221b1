"""A price in a currency that Stripe may read in two ways is not sold, wherever it stands."""

from collections.abc import Iterator
from datetime import timedelta
from html import unescape
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, models, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from accounts.models import User
from accounts.teams.members import own_seat, own_team
from billing.catalogue.checks import check_currencies
from billing.catalogue.stripe_sync import sync_packs
from billing.exceptions import CurrencyUnproven, PackUnavailable
from billing.models import AutoTopUp, InboxItem, Order, Pack, PackPrice
from billing.orders.checkout import start_checkout
from billing.orders.top_up_orders import top_up_due
from billing.stripe_inbox.open_orders import check_open_orders
from billing.top_ups.agreement import Terms, agree, get_top_up
from billing.top_ups.switch import OffReason
from billing.views.forms import offer_choices
from common.currencies import UNPROVEN_REASON
from proxy.api.error_table import to_api_error
from tests.billing.top_ups.conftest import intents, orders_of
from tests.stripe_sandbox import Sandbox

GUARDS: dict[type[models.Model], str] = {
    Pack: "pack_on_sale_has_a_proven_currency",
    PackPrice: "pack_price_has_a_proven_currency",
}


@pytest.fixture
def unguarded(transactional_db: None) -> Iterator[None]:
    """Let prices stand that were made before the database refused them; put the guards back."""
    # As the migration made them, and not as the models say.
    definition = "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = %s"
    guards = []
    with connection.cursor() as cursor:
        for model, name in GUARDS.items():
            table = f"ALTER TABLE {model._meta.db_table}"
            cursor.execute(definition, [name])
            guards.append(f"{table} ADD CONSTRAINT {name} {cursor.fetchone()[0]}")
            cursor.execute(f"{table} DROP CONSTRAINT {name}")
    yield
    PackPrice.objects.filter(currency="ugx").delete()
    Pack.objects.filter(currency="ugx").update(is_active=False)
    with connection.cursor() as cursor:
        for guard in guards:
            cursor.execute(guard)


@pytest.fixture(params=["own", "other"])
def standing(request: pytest.FixtureRequest, unguarded: None, pack: Pack) -> Pack:
    """A pack on sale, in UGX, or in UGX beside its dollars."""
    if request.param == "own":
        Pack.objects.filter(pk=pack.pk).update(currency="ugx")
        pack.refresh_from_db()
    else:
        PackPrice.objects.create(pack=pack, currency="ugx", price_cents=900)
    return pack


@pytest.fixture
def as_alice(alice: User) -> Client:
    client = Client()
    client.force_login(alice)
    return client


@pytest.mark.parametrize("model", GUARDS)
def test_the_database_refuses_a_new_one(model: type[models.Model], pack: Pack) -> None:
    rows = {
        Pack: Pack(name="X", slug="x", credits=1, price_cents=100, currency="ugx"),
        PackPrice: PackPrice(pack=pack, currency="ugx", price_cents=100),
    }

    with pytest.raises(IntegrityError, match=GUARDS[model]), transaction.atomic():
        rows[model].save()


def test_a_pack_off_sale_may_keep_it(pack: Pack) -> None:
    Pack.objects.filter(pk=pack.pk).update(currency="ugx", is_active=False)

    with pytest.raises(IntegrityError, match=GUARDS[Pack]), transaction.atomic():
        Pack.objects.filter(pk=pack.pk).update(is_active=True)


def test_one_that_stands_is_not_sold_and_staff_hear_of_it_once(
    standing: Pack, alice: User, sandbox: Sandbox
) -> None:
    before = sandbox.session_count()

    for _ in range(2):
        with pytest.raises(CurrencyUnproven, match="Nothing can be sold in UGX"):
            start_checkout(own_seat(alice), pack_slug=standing.slug, currency="ugx")

    assert not Order.objects.exists()
    assert sandbox.session_count() == before
    item = InboxItem.objects.get()
    assert item.kind == "currency_unproven"
    assert "Starter in ugx" in item.summary


def test_a_currency_that_the_pack_does_not_have_is_nobodys_finding(alice: User, pack: Pack) -> None:
    with pytest.raises(PackUnavailable):
        start_checkout(own_seat(alice), pack_slug=pack.slug, currency="eur")

    assert not InboxItem.objects.exists()


def test_the_customer_reads_why_on_the_page(standing: Pack, as_alice: Client) -> None:
    url = f"/billing/checkout/{standing.slug}/"

    page = as_alice.post(url, {"currency": "ugx"}, follow=True).text

    assert "can't be sold in this currency at the moment" in unescape(page)
    assert "UGX" not in as_alice.get("/packs/").text
    assert "UGX" not in as_alice.get(url, follow=True).text


def test_its_page_leads_back_to_the_packs(unguarded: None, pack: Pack, as_alice: Client) -> None:
    Pack.objects.filter(pk=pack.pk).update(currency="ugx")

    answer = as_alice.get(f"/billing/checkout/{pack.slug}/", follow=True)

    assert answer.redirect_chain == [("/packs/", 302)]
    assert "can't be sold in this currency at the moment" in unescape(answer.text)


def test_a_program_reads_why() -> None:
    error = to_api_error(CurrencyUnproven(UNPROVEN_REASON))

    assert (error.status, error.code) == (404, "pack_not_found")
    assert "can't be sold in its currency" in error.message


def test_the_dollars_beside_it_are_sold(unguarded: None, pack: Pack, alice: User) -> None:
    PackPrice.objects.create(pack=pack, currency="ugx", price_cents=900)

    assert start_checkout(own_seat(alice), pack_slug=pack.slug).currency == "usd"


def test_an_order_of_it_that_stripe_has_not_heard_of_is_given_up(
    alice: User, pack: Pack, sandbox: Sandbox, settings: Settings
) -> None:
    Order.objects.create(
        team=own_team(alice),
        buyer=alice,
        pack=pack,
        pack_name="Starter",
        credits=1,
        amount_cents=900,
        currency="ugx",
        expires_at=timezone.now() + timedelta(hours=2),
    )
    before = sandbox.session_count()

    check_open_orders()

    assert Order.objects.get().status == Order.Status.EXPIRED
    assert sandbox.session_count() == before


def test_nobody_agrees_to_be_charged_for_it(
    standing: Pack, alice: User, settings: Settings
) -> None:
    settings.AUTO_TOP_UP = True

    with pytest.raises(CurrencyUnproven):
        agree(own_seat(alice), Terms(standing.slug, "ugx", 200_000, 3_000))

    assert [label for _, label in offer_choices() if "UGX" in label] == []


def test_a_top_up_in_it_ends_and_charges_nothing(
    unguarded: None, top_up: AutoTopUp, pack: Pack, alice: User, sandbox: Sandbox
) -> None:
    PackPrice.objects.create(pack=pack, currency="ugx", price_cents=900)
    AutoTopUp.objects.update(currency="ugx")

    assert top_up_due() == 0

    assert get_top_up(own_team(alice)).off_reason == OffReason.TERMS
    assert get_top_up(own_team(alice)).off_detail.startswith("Nothing can be sold in UGX")
    assert intents(sandbox, top_up) == []


def test_a_top_up_ordered_in_it_is_not_asked_for(
    top_up: AutoTopUp, alice: User, sandbox: Sandbox, settings: Settings
) -> None:
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    top_up_due()
    settings.STRIPE_API_BASE = sandbox.url
    Order.objects.update(currency="ugx", next_check_at=timezone.now())

    check_open_orders()

    assert (orders_of(alice), intents(sandbox, top_up)) == (["expired"], [])


def test_stripes_catalogue_is_not_told_of_it_and_the_command_says_why(
    standing: Pack, sandbox: Sandbox
) -> None:
    Pack.objects.filter(pk=standing.pk).update(
        slug=f"kampala-{sandbox.session_count()}-{standing.pk}"
    )
    told = StringIO()

    call_command("sync_packs", stdout=StringIO(), stderr=told)

    assert "Starter in ugx: not told to Stripe. Nothing can be sold in UGX" in told.getvalue()
    assert not PackPrice.objects.exclude(stripe_price_id="").exists()
    # No column of it is written: the database would refuse the row.
    assert not Pack.objects.filter(currency="ugx").exclude(stripe_product_id="").exists()
    assert sync_packs() == []


def test_whoever_migrates_is_told_of_it(standing: Pack) -> None:
    found = check_currencies(None, databases=["default"])

    assert [message.id for message in found] == ["billing.W001"]
    assert found[0].msg.startswith("Starter in ugx is not sold.")
    assert check_currencies(None, databases=None) == []


def test_nothing_is_told_where_every_price_is_sold(pack: Pack) -> None:
    assert check_currencies(None, databases=["default"]) == []
