"""Packs and models: what staff sells."""

from html import unescape

import pytest
from django.test import Client

from billing.catalogue.checks import check_currencies
from billing.models import AmountOffer, Pack, PublicModel
from common.currencies import UNPROVEN_REASON
from tests import desk

PACK = {
    "name": "Large",
    "slug": "large",
    "credits": "5000000",
    "price_cents": "3900",
    "currency": "usd",
    "is_active": "on",
    "order": "3",
    "other_prices-TOTAL_FORMS": "1",
    "other_prices-INITIAL_FORMS": "0",
    "other_prices-0-currency": "eur",
    "other_prices-0-price_cents": "3700",
}


def test_a_pack_is_put_on_sale(root: Client) -> None:
    root.post(desk.list_url(Pack) + "add/", PACK)

    pack = Pack.objects.get(slug="large")
    assert (pack.credits, pack.price_cents, pack.is_active) == (5_000_000, 3_900, True)
    assert [(p.currency, p.price_cents) for p in pack.other_prices.all()] == [("eur", 3_700)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("credits", "0"),
        ("credits", "-1"),
        ("credits", "1.5"),
        ("price_cents", "0"),
        ("currency", "USD"),
        ("currency", "dollar"),
        ("slug", "two words"),
        ("validity_days", "0"),
        ("name", ""),
    ],
)
def test_it_refuses_a_pack_that_makes_no_sense(field: str, value: str, root: Client) -> None:
    answer = root.post(desk.list_url(Pack) + "add/", {**PACK, field: value})

    assert answer.status_code == 200
    assert answer.context["errors"]
    assert not Pack.objects.exists()


@pytest.mark.parametrize(
    ("currency", "cents", "is_sold"),
    [("kwd", "9005", False), ("kwd", "9010", True), ("isk", "99950", False), ("jpy", "901", True)],
)
def test_a_price_is_one_that_stripe_takes(
    currency: str, cents: str, is_sold: bool, root: Client
) -> None:
    own = {"currency": currency, "price_cents": cents}
    other = {"other_prices-0-currency": currency, "other_prices-0-price_cents": cents}

    for number, price in enumerate((own, other)):
        root.post(desk.list_url(Pack) + "add/", {**PACK, "slug": f"new-{number}", **price})

    assert Pack.objects.filter(slug__startswith="new-").count() == (2 if is_sold else 0)


def test_what_nobody_has_verified_is_warned_of_where_a_pack_is_saved(root: Client) -> None:
    other = {"other_prices-0-currency": "cop", "other_prices-0-price_cents": "9000000"}

    answer = root.post(desk.list_url(Pack) + "add/", {**PACK, **other}, follow=True)

    assert Pack.objects.exists()
    said = [(each.level_tag, str(each)) for each in answer.context["messages"]]
    assert [text.partition(":")[0] for level, text in said if level == "warning"] == [
        "Stripe names no least charge for COP"
    ]


def test_a_price_that_stands_below_the_least_charge_is_named(root: Client) -> None:
    Pack.objects.create(name="Tiny", slug="tiny", credits=1, price_cents=49)

    found = check_currencies(None, databases=["default"])

    assert [(each.id, "Tiny in usd" in each.msg) for each in found] == [("billing.W002", True)]


@pytest.mark.parametrize(
    "price",
    [
        {"currency": "ugx", "price_cents": "50000"},
        {"other_prices-0-currency": "ugx", "other_prices-0-price_cents": "50000"},
    ],
    ids=["own", "other"],
)
def test_a_price_that_stripe_may_read_in_two_ways_is_refused_and_says_why(
    price: dict[str, str], root: Client
) -> None:
    answer = root.post(desk.list_url(Pack) + "add/", {**PACK, **price})

    assert UNPROVEN_REASON in unescape(answer.text)
    assert not Pack.objects.exists()


def test_a_pack_in_such_a_currency_is_not_put_on_sale_in_the_list(root: Client) -> None:
    pack = Pack.objects.create(
        name="Kampala", slug="kampala", credits=1, price_cents=1, currency="ugx", is_active=False
    )

    answer = root.post(
        desk.list_url(Pack),
        {
            "form-TOTAL_FORMS": "1",
            "form-INITIAL_FORMS": "1",
            "form-0-id": str(pack.pk),
            "form-0-order": "7",
            "form-0-is_active": "on",
            "_save": "Save",
        },
    )

    assert UNPROVEN_REASON in unescape(answer.text)
    pack.refresh_from_db()
    assert (pack.is_active, pack.order) == (False, 0)


def test_a_pack_that_was_ordered_is_not_deleted(root: Client, alice: desk.Buyer) -> None:
    pack = Pack.objects.get(slug="small")

    assert root.post(desk.page_url(pack, "delete"), {"post": "yes"}).status_code == 403
    assert Pack.objects.filter(pk=pack.pk).exists()


def test_a_pack_that_nobody_ordered_may_go(root: Client) -> None:
    pack = Pack.objects.create(name="Typo", slug="typo", credits=1, price_cents=1)

    root.post(desk.page_url(pack, "delete"), {"post": "yes"})

    assert not Pack.objects.exists()


def test_packs_are_taken_off_sale_in_the_list(root: Client, alice: desk.Buyer) -> None:
    pack = Pack.objects.get(slug="small")

    root.post(
        desk.list_url(Pack),
        {
            "form-TOTAL_FORMS": "1",
            "form-INITIAL_FORMS": "1",
            "form-0-id": str(pack.pk),
            "form-0-order": "7",
            "_save": "Save",
        },
    )

    pack.refresh_from_db()
    assert (pack.is_active, pack.order) == (False, 7)


def test_a_models_name_stays(root: Client, db: None) -> None:
    model = desk.make_model()

    root.post(
        desk.page_url(model),
        {
            "name": "renamed",
            "display_name": "Test",
            "owned_by": "tokenproxy",
            "default_max_tokens": "512",
            "order": "0",
        },
    )

    model = PublicModel.objects.get(pk=model.pk)
    assert (model.name, model.display_name, model.default_max_tokens) == ("gpt-test", "Test", 512)


@pytest.mark.parametrize(("ticked", "kept"), [(["tools", "images"], True), (["flying"], False)])
def test_staff_enter_what_a_model_can_do(
    root: Client, db: None, ticked: list[str], kept: bool
) -> None:
    model = desk.make_model()

    root.post(
        desk.page_url(model),
        {
            "owned_by": "tokenproxy",
            "default_max_tokens": "512",
            "order": "0",
            "abilities": ticked,
        },
    )

    assert PublicModel.objects.get(pk=model.pk).abilities == (ticked if kept else [])


def test_a_model_that_was_priced_is_not_deleted(root: Client, db: None) -> None:
    model = desk.make_model()

    assert root.post(desk.page_url(model, "delete"), {"post": "yes"}).status_code == 403
    assert PublicModel.objects.filter(pk=model.pk).exists()


def test_the_list_shows_the_price_in_force(root: Client, db: None) -> None:
    model = desk.make_model()
    model.prices.create(
        version=2,
        prompt_rate_millicredits=1_234,
        cached_prompt_rate_millicredits=0,
        completion_rate_millicredits=5_678,
    )

    page = root.get(desk.list_url(PublicModel)).content.decode()

    assert "1,234" in page
    assert "5,678" in page


@pytest.mark.parametrize("currency", ["kwd", "isk"])
def test_the_list_of_packs_names_a_standing_price_that_stripe_takes_in_no_payment(
    currency: str, root: Client
) -> None:
    pack = Pack.objects.create(
        name="Odd", slug="odd", credits=1, price_cents=9_005, currency=currency, is_active=False
    )
    form = {"form-TOTAL_FORMS": "1", "form-INITIAL_FORMS": "1", "form-0-id": str(pack.pk)}

    answer = root.post(
        desk.list_url(Pack),
        {**form, "form-0-is_active": "on", "form-0-order": "1", "_save": "Save"},
    )

    pack.refresh_from_db()
    assert answer.status_code == 200
    assert "Amounts of this currency are divisible by" in unescape(answer.content.decode())
    assert not pack.is_active


AMOUNTS = {
    "currency": "usd",
    "least_cents": "1000",
    "most_cents": "500000",
    "credits_per_unit": "100000",
    "is_active": "on",
    "steps-TOTAL_FORMS": "2",
    "steps-INITIAL_FORMS": "0",
    "steps-0-from_cents": "10000",
    "steps-0-credits_per_unit": "110000",
    "steps-1-from_cents": "50000",
    "steps-1-credits_per_unit": "120000",
}


def test_amounts_are_put_on_sale_with_their_steps(root: Client) -> None:
    root.post(desk.list_url(AmountOffer) + "add/", AMOUNTS)

    offer = AmountOffer.objects.get()
    assert [(each.from_cents, each.credits_per_unit) for each in offer.steps.all()] == [
        (10_000, 110_000),
        (50_000, 120_000),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("least_cents", "0"),
        ("least_cents", "49"),
        ("least_cents", "500001"),
        ("most_cents", "100000000"),
        ("credits_per_unit", "0"),
        ("validity_days", "0"),
        ("currency", "USD"),
        ("currency", "ugx"),
        ("steps-0-from_cents", "1000"),
        ("steps-0-from_cents", "500001"),
        ("steps-0-from_cents", "50000"),
        ("steps-0-credits_per_unit", "100000"),
        ("steps-1-credits_per_unit", "110000"),
    ],
)
def test_it_refuses_amounts_that_make_no_sense(field: str, value: str, root: Client) -> None:
    answer = root.post(desk.list_url(AmountOffer) + "add/", {**AMOUNTS, field: value})

    assert answer.status_code == 200
    assert answer.context["errors"]
    assert not AmountOffer.objects.exists()
