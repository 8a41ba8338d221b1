"""Products: what is sold. Prices say for how much."""

import re

from stripe.params import (
    ProductCreateParams,
    ProductDeleteParams,
    ProductListParams,
    ProductRetrieveParams,
    ProductUpdateParams,
)

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources.shared import any_of, merge_metadata, or_none
from sandbox.stripe.store import Condition, JsonObject, Record

_ID = re.compile(r"^[A-Za-z0-9_-]{1,255}$")
_PLAIN = (
    "active", "description", "images", "marketing_features", "name", "shippable",
    "statement_descriptor", "tax_code", "unit_label", "url",
)  # fmt: skip
# A deleted product keeps only its id.
_NOT_DELETED = Condition(path="$.created", operator=">=", value=0)


def new_product(
    box: Box, given: JsonObject, *, cause: Cause | None, is_active: bool = True
) -> Record:
    """Create a product from validated parameters; without a cause nobody is told of it."""
    stamp = box.stamp("product")
    if "id" in given:
        stamp["id"] = _free_id(box, given["id"])
    body = {
        **stamp,
        "active": is_active,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "metadata": merge_metadata({}, given.get("metadata")),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": given.get("type", "service"),
        "unit_label": None,
        "updated": stamp["created"],
        "url": None,
        **{name: given[name] for name in _PLAIN if name in given},
    }
    record = box.store.insert(body)
    if cause:
        box.emit("product.created", body, cause=cause)
    return record


def get_product(box: Box, product_id: str, *, param: str, status: int = 404) -> Record:
    """Return a product that was not deleted."""
    record = box.get("product", product_id, param=param, status=status)
    if record.body.get("deleted"):
        raise InvalidParameter(
            f"No such product: '{product_id}'", code="resource_missing", param=param
        )
    return record


def _free_id(box: Box, wanted: str) -> str:
    if not _ID.match(wanted):
        raise InvalidParameter("Invalid product id.", param="id")
    if box.store.find(wanted):
        raise InvalidRequest("Product already exists.", code="resource_already_exists", param="id")
    return wanted


def _create(call: Call) -> JsonObject:
    refuse_empty(call.params)
    return new_product(call.box, call.params, cause=call.cause).body


def _retrieve(call: Call) -> JsonObject:
    return get_product(call.box, call.path_params["id"], param="id").body


def _update(call: Call) -> JsonObject:
    box, given = call.box, call.params
    record = get_product(box, call.path_params["id"], param="id")
    changes = {name: or_none(given[name]) for name in _PLAIN if name in given}
    if "metadata" in given:
        changes["metadata"] = merge_metadata(record.body["metadata"], given["metadata"])
    if "default_price" in given:
        changes["default_price"] = _own_price(box, record, given["default_price"])
    previous = box.change(record, changes)
    if previous:
        previous |= box.change(record, {"updated": box.clock.now()})
        box.emit("product.updated", record.body, cause=call.cause, previous=previous)
    return record.body


def _own_price(box: Box, product: Record, price_id: str) -> str:
    price = box.get("price", price_id, param="default_price", status=400)
    if price.body["product"] != product.id:
        raise InvalidParameter("The price is not one of this product.", param="default_price")
    return price.id


def _delete(call: Call) -> JsonObject:
    box = call.box
    record = get_product(box, call.path_params["id"], param="id")
    if box.store.select("price", (Condition(path="$.product", value=record.id),), limit=1):
        raise InvalidRequest(
            "This product cannot be deleted because it has one or more user-created prices."
        )
    box.emit("product.deleted", record.body, cause=call.cause)
    record.body = {"id": record.id, "object": "product", "deleted": True}
    box.store.save(record)
    return record.body


def _list(call: Call) -> JsonObject:
    return list_objects(
        call,
        "product",
        filters={name: f"$.{name}" for name in ("active", "shippable", "url")},
        conditions=(_NOT_DELETED, *any_of("$.id", call.params.get("ids"))),
    )


_PATH = "/v1/products"
_SETTABLE = frozenset({*_PLAIN, "metadata", "expand"})

OPERATIONS = (
    Operation(
        method="POST",
        path=_PATH,
        params=ProductCreateParams,
        emulated=_SETTABLE | {"id", "type"},
        run=_create,
    ),
    Operation(
        method="GET",
        path=_PATH,
        params=ProductListParams,
        emulated=PAGING | {"active", "ids[]", "shippable", "url"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=ProductRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=ProductUpdateParams,
        emulated=_SETTABLE | {"default_price"},
        run=_update,
    ),
    Operation(
        method="DELETE",
        path=_PATH + "/{id}",
        params=ProductDeleteParams,
        emulated=PAGING,
        run=_delete,
    ),
)
