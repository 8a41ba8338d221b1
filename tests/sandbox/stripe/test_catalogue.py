from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, order, refusal, types_of


@pytest.fixture
def price(client: Client) -> stripe.Price:
    """Return the price of a starter pack: $12.50, or €11.50."""
    product = client.products.create({"name": "Starter pack", "metadata": {"pack": "starter"}})
    return client.prices.create(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 1250,
            "lookup_key": "starter",
            "currency_options": {"eur": {"unit_amount": 1150}},
        }
    )


def items(price: stripe.Price, quantity: int = 1) -> list[dict[str, Any]]:
    return [{"price": price.id, "quantity": quantity}]


def test_it_sells_at_a_price_of_the_catalogue(
    emulator: Emulator, client: Client, price: stripe.Price
) -> None:
    session = emulator.session(line_items=items(price, 2))

    page = emulator.http.get(str(session.url)).text

    item = client.sessions.line_items.list(session.id).data[0]
    assert (session.amount_total, session.currency) == (2500, "usd")
    assert item.price is not None
    assert (item.price.id, item.description) == (price.id, "Starter pack")
    assert "Starter pack" in page
    assert emulator.pay(session.id).status_code == 200


def test_it_sells_in_the_currency_that_was_asked_for(
    emulator: Emulator, client: Client, price: stripe.Price
) -> None:
    session = emulator.session(line_items=items(price), currency="eur")

    error = refusal(lambda: client.sessions.create(order(line_items=items(price), currency="gbp")))

    assert (session.amount_total, session.currency) == (1150, "eur")
    assert isinstance(error, stripe.InvalidRequestError)
    assert error.param == "line_items[0][price]"


def test_it_shows_all_currencies_of_a_price_when_expanded(
    client: Client, price: stripe.Price
) -> None:
    expanded = client.prices.retrieve(price.id, {"expand": ["currency_options"]})

    assert expanded.currency_options is not None
    amounts = {
        code: option["unit_amount"] for code, option in expanded.currency_options.to_dict().items()
    }
    assert amounts == {"usd": 1250, "eur": 1150}


def test_it_finds_a_price_by_its_lookup_key(client: Client, price: stripe.Price) -> None:
    found = client.prices.list({"lookup_keys": ["starter", "growth"], "expand": ["data.product"]})
    none = client.prices.list({"lookup_keys": ["growth"]})

    assert [each.id for each in found.data] == [price.id]
    assert isinstance(found.data[0].product, stripe.Product)
    assert found.data[0].product.name == "Starter pack"
    assert none.data == []


def test_it_transfers_a_lookup_key_only_when_told_to(client: Client, price: stripe.Price) -> None:
    new: Any = {
        "product": price.product,
        "currency": "usd",
        "unit_amount": 1500,
        "lookup_key": "starter",
    }

    error = refusal(lambda: client.prices.create(new))
    new["transfer_lookup_key"] = True
    dearer = client.prices.create(new)

    assert error.http_status == 400
    assert [each.id for each in client.prices.list({"lookup_keys": ["starter"]}).data] == [
        dearer.id
    ]
    assert client.prices.retrieve(price.id).lookup_key is None


def test_it_sells_nothing_that_is_not_active(client: Client, price: stripe.Price) -> None:
    client.prices.update(price.id, {"active": False})
    inactive = refusal(lambda: client.sessions.create(order(line_items=items(price))))
    client.prices.update(price.id, {"active": True})
    client.products.update(str(price.product), {"active": False})
    archived = refusal(lambda: client.sessions.create(order(line_items=items(price))))

    assert (inactive.http_status, archived.http_status) == (400, 400)
    assert client.sessions.list().data == []


def test_it_lists_and_updates_products(client: Client, price: stripe.Price) -> None:
    other = client.products.create({"name": "Growth pack", "id": "growth", "active": False})

    client.products.update(str(price.product), {"name": "Starter", "default_price": price.id})
    again = refusal(lambda: client.products.create({"name": "Growth", "id": "growth"}))

    active = client.products.list({"active": True}).data
    assert [(product.name, product.default_price) for product in active] == [("Starter", price.id)]
    assert [product.id for product in client.products.list({"ids": ["growth"]}).data] == [other.id]
    assert again.code == "resource_already_exists"
    assert types_of(client, "product.*") == [
        "product.created",
        "product.created",
        "product.updated",
    ]


def test_it_deletes_a_product_that_has_no_price(client: Client, price: stripe.Price) -> None:
    other = client.products.create({"name": "Growth pack"})

    kept = refusal(lambda: client.products.delete(str(price.product)))
    gone = client.products.delete(other.id)

    assert (kept.http_status, gone.deleted) == (400, True)
    assert refusal(lambda: client.products.retrieve(other.id)).code == "resource_missing"


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"currency": "dollars"}, None, "currency"),
        ({"currency": "ugx"}, "parameter_not_emulated", "currency"),
        ({"currency": "UGX"}, "parameter_not_emulated", "currency"),
        ({"unit_amount": -1}, "parameter_invalid_integer", "unit_amount"),
        ({"unit_amount": None}, "parameter_missing", "unit_amount"),
        ({"currency": "kwd", "unit_amount": 1255}, None, "unit_amount"),
        (
            {"currency": "isk", "unit_amount": 1250},
            "invalid_charge_amount_no_decimal_compatible",
            "unit_amount",
        ),
        ({"product": "prod_unknown"}, "resource_missing", "product"),
        ({"product": None}, "parameter_missing", "product"),
        ({"currency_options": {"usd": {"unit_amount": 1}}}, None, "currency_options[usd]"),
        (
            {"currency_options": {"eur": {"unit_amount": -1}}},
            "parameter_invalid_integer",
            "currency_options[eur][unit_amount]",
        ),
        (
            {"recurring": {"interval": "month"}},
            "parameter_not_emulated",
            "recurring[interval]",
        ),
    ],
)
def test_it_refuses_a_price_that_stripe_refuses(
    client: Client, changes: dict[str, Any], code: str | None, param: str
) -> None:
    product = client.products.create({"name": "Starter pack"})
    params: Any = {"product": product.id, "currency": "usd", "unit_amount": 1250, **changes}
    params = {name: value for name, value in params.items() if value is not None}

    error = refusal(lambda: client.prices.create(params))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert client.prices.list().data == []
