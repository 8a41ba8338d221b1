"""Prices: one-time prices of a product, in one currency or several."""

from typing import Any

from stripe.params import (
    PriceCreateParams,
    PriceListParams,
    PriceRetrieveParams,
    PriceUpdateParams,
)

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources.products import get_product, new_product
from sandbox.stripe.resources.shared import (
    any_of,
    check_step,
    checked_currency,
    merge_metadata,
    or_none,
)
from sandbox.stripe.store import Condition, JsonObject, Record


def price_body(
    box: Box, *, currency: str, unit_amount: int, product_id: str, given: JsonObject
) -> JsonObject:
    """Return a new price as the API shows it; it is not stored yet."""
    return {
        **box.stamp("price"),
        "active": given.get("active", True),
        "billing_scheme": "per_unit",
        "currency": currency,
        "custom_unit_amount": None,
        "lookup_key": given.get("lookup_key"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "nickname": given.get("nickname"),
        "product": product_id,
        "recurring": None,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def checked_unit_amount(data: JsonObject, param: str, currency: str) -> int:
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
    check_step(amount, currency, param)
    return int(amount)


def amount_in(price: Record, currency: str) -> int | None:
    """Return what one unit costs in a currency; None if the price has no such option."""
    if price.body["currency"] == currency:
        return int(price.body["unit_amount"])
    option = price.private.get("currency_options", {}).get(currency)
    return None if option is None else int(option["unit_amount"])


def currency_options(box: Box, price: JsonObject) -> JsonObject:
    """Return what `expand` puts into a price: its own currency and the others."""
    record = box.get("price", price["id"], param="price")
    own = {record.body["currency"]: _option(record.body)}
    others = record.private.get("currency_options", {})
    return own | {currency: _option(option) for currency, option in others.items()}


def _option(given: JsonObject) -> JsonObject:
    return {
        "custom_unit_amount": None,
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "unit_amount": given["unit_amount"],
        "unit_amount_decimal": str(given["unit_amount"]),
    }


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    refuse_empty(given)
    currency = checked_currency(given["currency"])
    unit_amount = checked_unit_amount(given, "unit_amount", currency)
    options = _checked_options(given, currency)
    product_id = _product(box, given, call.cause)
    _free_lookup_key(box, given, price_id=None)
    body = price_body(
        box, currency=currency, unit_amount=unit_amount, product_id=product_id, given=given
    )
    record = box.store.insert(body, {"currency_options": options})
    box.emit("price.created", record.body, cause=call.cause)
    return record.body


def _product(box: Box, given: JsonObject, cause: Cause) -> str:
    if ("product" in given) == ("product_data" in given):
        raise InvalidParameter(
            "You must specify either `product` or `product_data` when creating a price.",
            code="parameter_missing",
            param="product",
        )
    if "product" in given:
        return get_product(box, given["product"], param="product", status=400).id
    return new_product(box, given["product_data"], cause=cause).id


def _checked_options(given: JsonObject, currency: str) -> dict[str, JsonObject]:
    options = {}
    for code, option in (or_none(given.get("currency_options")) or {}).items():
        where = f"currency_options[{code}]"
        if checked_currency(code, where) == currency:
            raise InvalidParameter("This is the price's own currency already.", param=where)
        for name in option.keys() - {"unit_amount", "tax_behavior"}:
            raise InvalidParameter(
                f"The sandbox does not emulate the parameter {where}[{name}] yet.",
                code="parameter_not_emulated",
                param=f"{where}[{name}]",
            )
        checked_unit_amount(option, f"{where}[unit_amount]", code.lower())
        options[code.lower()] = option
    return options


def _free_lookup_key(box: Box, given: JsonObject, *, price_id: str | None) -> None:
    """Make sure that one price has a lookup key: take it over if that was asked for."""
    key = given.get("lookup_key")
    if not key:
        return
    for holder in box.store.select("price", (Condition(path="$.lookup_key", value=key),), limit=1):
        if holder.id == price_id:
            return
        if not given.get("transfer_lookup_key"):
            raise InvalidRequest(
                f"A price (`{holder.id}`) already uses that lookup key.", param="lookup_key"
            )
        box.change(holder, {"lookup_key": None})


def _retrieve(call: Call) -> JsonObject:
    return call.box.get("price", call.path_params["id"], param="price").body


def _update(call: Call) -> JsonObject:
    box, given = call.box, call.params
    record = box.get("price", call.path_params["id"], param="price")
    _free_lookup_key(box, given, price_id=record.id)
    names = ("active", "lookup_key", "nickname", "tax_behavior")
    changes = {name: or_none(given[name]) for name in names if name in given}
    if "metadata" in given:
        changes["metadata"] = merge_metadata(record.body["metadata"], given["metadata"])
    if "currency_options" in given:
        options = _checked_options(given, record.body["currency"])
        record.private["currency_options"] = record.private["currency_options"] | options
    if previous := box.change(record, changes):
        box.emit("price.updated", record.body, cause=call.cause, previous=previous)
    return record.body


def _list(call: Call) -> JsonObject:
    return list_objects(
        call,
        "price",
        filters={name: f"$.{name}" for name in ("active", "currency", "product", "type")},
        conditions=any_of("$.lookup_key", call.params.get("lookup_keys")),
    )


_PATH = "/v1/prices"
_SETTABLE = frozenset(
    {
        "active",
        "currency_options",
        "expand",
        "lookup_key",
        "metadata",
        "nickname",
        "tax_behavior",
        "transfer_lookup_key",
    }
)
_PRODUCT_DATA = ("active", "id", "metadata", "name", "statement_descriptor", "unit_label")

OPERATIONS = (
    Operation(
        method="POST",
        path=_PATH,
        params=PriceCreateParams,
        emulated=_SETTABLE
        | {"currency", "product", "unit_amount", *(f"product_data[{n}]" for n in _PRODUCT_DATA)},
        run=_create,
    ),
    Operation(
        method="GET",
        path=_PATH,
        params=PriceListParams,
        emulated=PAGING | {"active", "currency", "lookup_keys[]", "product", "type"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=PriceRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=PriceUpdateParams,
        emulated=_SETTABLE,
        run=_update,
    ),
)
