"""Line items of a Checkout Session, and the inline prices and products that they bring."""

from typing import Any

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, ResourceMissing
from sandbox.stripe.ids import new_id
from sandbox.stripe.resources.shared import checked_currency, merge_metadata
from sandbox.stripe.store import JsonObject

_MAX_ITEMS = 100
_MAX_QUANTITY = 999_999


def new_line_items(box: Box, given: list[JsonObject]) -> list[JsonObject]:
    """Return line items made from validated parameters; they all have one currency."""
    if not 1 <= len(given) <= _MAX_ITEMS:
        raise InvalidParameter(
            f"A Checkout Session in `payment` mode needs 1 to {_MAX_ITEMS} line items.",
            code="parameter_missing",
            param="line_items",
        )
    items = [_line_item(box, item, index) for index, item in enumerate(given)]
    if len({item["currency"] for item in items}) > 1:
        raise InvalidParameter("All line items must have the same currency.", param="line_items")
    return items


def _line_item(box: Box, given: JsonObject, index: int) -> JsonObject:
    where = f"line_items[{index}]"
    quantity = _quantity(given, where)
    price = _price(box, given, where)
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


def _price(box: Box, given: JsonObject, where: str) -> JsonObject:
    if "price" in given and "price_data" in given:
        raise InvalidParameter(
            "You may only specify one of these parameters: price, price_data.", param=where
        )
    if "price" in given:
        raise ResourceMissing("price", given["price"], param=f"{where}[price]", status=400)
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
    unit_amount = _unit_amount(data, where)
    if "product_data" not in data:
        raise InvalidParameter(
            f"Missing required param: {where}[product_data].",
            code="parameter_missing",
            param=f"{where}[product_data]",
        )
    product = _inline_product(box, data["product_data"])
    return {
        **box.stamp("price"),
        # An inline price can't be used again: Stripe shows it as inactive.
        "active": False,
        "billing_scheme": "per_unit",
        "currency": currency,
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": product["id"],
        "recurring": None,
        "tax_behavior": data.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
        "_name": product["name"],
    }


def _unit_amount(data: JsonObject, where: str) -> int:
    param = f"{where}[unit_amount]"
    amount: Any = data.get("unit_amount")
    if amount is None:
        raise InvalidParameter(
            f"Missing required param: {param}.", code="parameter_missing", param=param
        )
    if amount < 0:
        raise InvalidParameter(
            "This value must be greater than or equal to 0.",
            code="parameter_invalid_integer",
            param=param,
        )
    return int(amount)


def _inline_product(box: Box, data: JsonObject) -> JsonObject:
    stamp = box.stamp("product")
    body = {
        **stamp,
        "active": False,
        "default_price": None,
        "description": data.get("description"),
        "images": data.get("images", []),
        "marketing_features": [],
        "metadata": merge_metadata({}, data.get("metadata")),
        "name": data["name"],
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": data.get("unit_label"),
        "updated": stamp["created"],
        "url": None,
    }
    return box.store.insert(body).body
