"""Line items of a Checkout Session, and the inline prices and products that they bring."""

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources.prices import amount_in, checked_unit_amount, price_body
from sandbox.stripe.resources.products import get_product, new_product
from sandbox.stripe.resources.shared import checked_currency, merge_metadata
from sandbox.stripe.store import JsonObject

_MAX_ITEMS = 100
_MAX_QUANTITY = 999_999


def new_line_items(box: Box, given: list[JsonObject], *, currency: str | None) -> list[JsonObject]:
    """Return line items made from validated parameters; they all have one currency.

    A currency makes stored prices answer in it.
    """
    if not 1 <= len(given) <= _MAX_ITEMS:
        raise InvalidParameter(
            f"A Checkout Session in `payment` mode needs 1 to {_MAX_ITEMS} line items.",
            code="parameter_missing",
            param="line_items",
        )
    items = [_line_item(box, item, index, currency) for index, item in enumerate(given)]
    if len({item["currency"] for item in items}) > 1:
        raise InvalidParameter("All line items must have the same currency.", param="line_items")
    return items


def _line_item(box: Box, given: JsonObject, index: int, currency: str | None) -> JsonObject:
    where = f"line_items[{index}]"
    quantity = _quantity(given, where)
    price = _price(box, given, where, currency)
    amount = price["unit_amount"] * quantity
    return {
        "id": new_id("item"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": price.pop("_name"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "price": price,
        "quantity": quantity,
    }


def _quantity(given: JsonObject, where: str) -> int:
    param = f"{where}[quantity]"
    if "quantity" not in given:
        raise InvalidParameter(
            f"Missing required param: {param}.", code="parameter_missing", param=param
        )
    if not 1 <= given["quantity"] <= _MAX_QUANTITY:
        raise InvalidParameter(
            f"This value must be between 1 and {_MAX_QUANTITY}.",
            code="parameter_invalid_integer",
            param=param,
        )
    return int(given["quantity"])


def _price(box: Box, given: JsonObject, where: str, currency: str | None) -> JsonObject:
    if "price" in given and "price_data" in given:
        raise InvalidParameter(
            "You may only specify one of these parameters: price, price_data.", param=where
        )
    if "price" in given:
        return _stored_price(box, given["price"], f"{where}[price]", currency)
    if "price_data" not in given:
        param = f"{where}[price_data]"
        raise InvalidParameter(
            "You must specify either `price` or `price_data` for each line item.",
            code="parameter_missing",
            param=param,
        )
    return _inline_price(box, given["price_data"], f"{where}[price_data]")


def _inline_price(box: Box, data: JsonObject, where: str) -> JsonObject:
    currency = checked_currency(data["currency"], f"{where}[currency]")
    unit_amount = checked_unit_amount(data, f"{where}[unit_amount]", currency)
    if "product_data" not in data:
        raise InvalidParameter(
            f"Missing required param: {where}[product_data].",
            code="parameter_missing",
            param=f"{where}[product_data]",
        )
    product = new_product(box, data["product_data"], cause=None, is_active=False).body
    # An inline price can't be used again: Stripe shows it as inactive.
    body = price_body(
        box,
        currency=currency,
        unit_amount=unit_amount,
        product_id=product["id"],
        given={"active": False, "tax_behavior": data.get("tax_behavior", "unspecified")},
    )
    return {**body, "_name": product["name"]}


def _stored_price(box: Box, price_id: str, param: str, currency: str | None) -> JsonObject:
    """Return a price of the catalogue, in the session's currency if it has that."""
    price = box.get("price", price_id, param=param, status=400)
    if not price.body["active"]:
        raise InvalidParameter(
            f"The price specified is inactive. This field only accepts active prices: {price_id}",
            param=param,
        )
    product = get_product(box, price.body["product"], param=param, status=400).body
    if not product["active"]:
        raise InvalidParameter(
            f"The product {product['id']} is marked as inactive, and thus its price can't be "
            "used in a Checkout Session.",
            param=param,
        )
    wanted = (currency or price.body["currency"]).lower()
    amount = amount_in(price, wanted)
    if amount is None:
        raise InvalidParameter(
            f"The price specified does not support the currency {wanted}: {price_id}",
            param=param,
        )
    shown = {"currency": wanted, "unit_amount": amount, "unit_amount_decimal": str(amount)}
    return {**price.body, **shown, "_name": product["name"]}
