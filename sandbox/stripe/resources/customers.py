"""Customers."""

import re
from typing import Any

from stripe.params import (
    CustomerCreateParams,
    CustomerDeleteParams,
    CustomerListParams,
    CustomerRetrieveParams,
    CustomerUpdateParams,
)

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.errors import InvalidParameter, ResourceMissing
from sandbox.stripe.ids import random_text
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.shared import address, merge_metadata, or_none
from sandbox.stripe.store import Condition, JsonObject, Record

_EMAIL = re.compile(r"^[^\s@]+@[^\s@]+\.[^\s@.]+$")

# A deleted customer keeps only its id, so it has no `created`.
_NOT_DELETED = Condition(path="$.created", operator=">=", value=0)

_PLAIN = ("description", "email", "name", "phone", "business_name", "individual_name")
_EMULATED = frozenset(
    {*_PLAIN, "address", "shipping", "metadata", "preferred_locales", "tax_exempt", "expand"}
)


def check_email(email: str, param: str) -> None:
    if email and (len(email) > 512 or not _EMAIL.match(email)):
        raise InvalidParameter(
            f"Invalid email address: {email[:200]}", code="email_invalid", param=param
        )


def new_customer(box: Box, given: JsonObject, cause: Cause) -> Record:
    """Create a customer from validated parameters."""
    body = {
        **box.stamp("customer"),
        "address": None,
        "balance": 0,
        "business_name": None,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "individual_name": None,
        "invoice_prefix": random_text(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    }
    body |= _changes(body, given)
    record = box.store.insert(body)
    box.emit("customer.created", body, cause=cause)
    return record


def get_customer(box: Box, customer_id: str) -> Record:
    """Return a customer given as a parameter; a deleted one does not exist there."""
    record = box.get("customer", customer_id, param="customer", status=400)
    if record.body.get("deleted"):
        raise InvalidParameter(
            f"No such customer: '{customer_id}'; it was deleted.",
            code="resource_missing",
            param="customer",
        )
    return record


def _changes(body: JsonObject, given: JsonObject) -> JsonObject:
    check_email(given.get("email", ""), "email")
    changes: dict[str, Any] = {key: or_none(given[key]) for key in _PLAIN if key in given}
    if "address" in given:
        changes["address"] = address(given["address"])
    if "shipping" in given:
        shipping = or_none(given["shipping"])
        changes["shipping"] = shipping and {
            "phone": None,
            **shipping,
            "address": address(shipping["address"]),
        }
    if "metadata" in given:
        changes["metadata"] = merge_metadata(body["metadata"], given["metadata"])
    if "preferred_locales" in given:
        changes["preferred_locales"] = given["preferred_locales"]
    if "tax_exempt" in given:
        changes["tax_exempt"] = given["tax_exempt"] or "none"
    return changes


def _create(call: Call) -> JsonObject:
    return new_customer(call.box, call.params, call.cause).body


def _retrieve(call: Call) -> JsonObject:
    return call.box.get("customer", call.path_params["id"], param="id").body


def _existing(call: Call) -> Record:
    record = call.box.get("customer", call.path_params["id"], param="id")
    if record.body.get("deleted"):
        raise ResourceMissing("customer", record.id, param="id")
    return record


def _update(call: Call) -> JsonObject:
    record = _existing(call)
    changes = _changes(record.body, call.params)
    previous = {key: record.body[key] for key, new in changes.items() if record.body[key] != new}
    record.body |= changes
    if previous:
        call.box.store.save(record)
        call.box.emit("customer.updated", record.body, cause=call.cause, previous=previous)
    return record.body


def _delete(call: Call) -> JsonObject:
    record = _existing(call)
    call.box.emit("customer.deleted", record.body, cause=call.cause)
    record.body = {
        "id": record.id,
        "object": "customer",
        "deleted": True,
    }
    call.box.store.save(record)
    return record.body


def _list(call: Call) -> JsonObject:
    return list_objects(call, "customer", filters={"email": "$.email"}, conditions=(_NOT_DELETED,))


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/customers",
        params=CustomerCreateParams,
        emulated=_EMULATED,
        run=_create,
    ),
    Operation(
        method="GET",
        path="/v1/customers",
        params=CustomerListParams,
        emulated=PAGING | {"email"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/customers/{id}",
        params=CustomerRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path="/v1/customers/{id}",
        params=CustomerUpdateParams,
        emulated=_EMULATED,
        run=_update,
    ),
    Operation(
        method="DELETE",
        path="/v1/customers/{id}",
        params=CustomerDeleteParams,
        emulated=PAGING,
        run=_delete,
    ),
)
