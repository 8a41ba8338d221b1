"""Promotion codes: what a customer types on the Checkout page to redeem a coupon."""

import re

from stripe.params import (
    PromotionCodeCreateParams,
    PromotionCodeListParams,
    PromotionCodeRetrieveParams,
    PromotionCodeUpdateParams,
)

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.ids import random_text
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources import coupons
from sandbox.stripe.resources.customers import get_customer
from sandbox.stripe.resources.shared import merge_metadata
from sandbox.stripe.store import Condition, JsonObject, Record

_KIND = "promotion_code"
_CODE = re.compile(r"^[A-Za-z0-9]{1,500}$")
_UNRESTRICTED = {
    "first_time_transaction": False,
    "minimum_amount": None,
    "minimum_amount_currency": None,
}


def find_code(box: Box, code: str) -> Record | None:
    """Return the active promotion code that reads so, whatever its case."""
    found = box.store.select(_KIND, (Condition(path="$.active", value=True),), limit=1_000)
    return next((r for r in found if r.body["code"].lower() == code.lower()), None)


def is_redeemable(box: Box, record: Record, *, customer: str | None) -> bool:
    body = record.body
    is_late = body["expires_at"] is not None and body["expires_at"] <= box.clock.now()
    most = body["max_redemptions"]
    is_used_up = most is not None and body["times_redeemed"] >= most
    is_anothers = body["customer"] is not None and body["customer"] != customer
    coupon = coupons.get_coupon(box, body["promotion"]["coupon"])
    is_first_only = body["restrictions"]["first_time_transaction"]
    is_too_late = is_first_only and _has_paid(box, customer)
    is_refused = is_late or is_used_up or is_anothers or is_too_late or not body["active"]
    return not is_refused and bool(coupons.shown(box, coupon)["valid"])


def _has_paid(box: Box, customer: str | None) -> bool:
    """Tell whether a customer has a successful payment. Who is no customer has none."""
    if customer is None:
        return False
    paid = (
        Condition(path="$.customer", value=customer),
        Condition(path="$.status", value="succeeded"),
    )
    return bool(box.store.select("payment_intent", paid, limit=1))


def least_in(restrictions: JsonObject, currency: str) -> int | None:
    """Return the least order in a currency that a code is for: 0 if it is not restricted, None if
    it is not for this currency.
    """
    if restrictions["minimum_amount"] is None:
        return 0
    if restrictions["minimum_amount_currency"] == currency:
        return int(restrictions["minimum_amount"])
    option = restrictions.get("currency_options", {}).get(currency)
    return None if option is None else int(option["minimum_amount"])


def redeem(box: Box, *, promotion_code: str | None, coupon: str) -> None:
    """Count a redemption."""
    for kind, object_id in ((_KIND, promotion_code), ("coupon", coupon)):
        if object_id:
            record = box.get(kind, object_id, param=kind)
            box.change(record, {"times_redeemed": record.body["times_redeemed"] + 1})


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    refuse_empty(given)
    coupon_id = given["promotion"].get("coupon")
    if coupon_id is None:
        raise InvalidParameter(
            "Missing required param: promotion[coupon].",
            code="parameter_missing",
            param="promotion[coupon]",
        )
    coupons.get_coupon(box, coupon_id, param="promotion[coupon]", status=400)
    body = {
        **box.stamp(_KIND),
        "active": given.get("active", True),
        "code": _free_code(box, given.get("code")),
        "customer": get_customer(box, given["customer"]).id if "customer" in given else None,
        "customer_account": None,
        "expires_at": given.get("expires_at"),
        "max_redemptions": given.get("max_redemptions"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "promotion": {"coupon": coupon_id, "type": "coupon"},
        "restrictions": {**_UNRESTRICTED, **given.get("restrictions", {})},
        "times_redeemed": 0,
    }
    record = box.store.insert(body)
    box.emit("promotion_code.created", record.body, cause=call.cause)
    return record.body


def _free_code(box: Box, wanted: str | None) -> str:
    code = wanted or random_text(8).upper()
    if not _CODE.match(code):
        raise InvalidParameter("Promotion codes may only contain letters and digits.", param="code")
    if find_code(box, code):
        raise InvalidRequest(
            f"An active promotion code with `code: {code}` already exists.",
            code="resource_already_exists",
            param="code",
        )
    return code


def _retrieve(call: Call) -> JsonObject:
    return call.box.get(_KIND, call.path_params["id"], param="promotion_code").body


def _update(call: Call) -> JsonObject:
    box, given = call.box, call.params
    record = box.get(_KIND, call.path_params["id"], param="promotion_code")
    changes: JsonObject = {}
    if "active" in given:
        changes["active"] = given["active"]
    if "metadata" in given:
        changes["metadata"] = merge_metadata(record.body["metadata"], given["metadata"])
    if previous := box.change(record, changes):
        box.emit("promotion_code.updated", record.body, cause=call.cause, previous=previous)
    return record.body


def _list(call: Call) -> JsonObject:
    filters = {name: f"$.{name}" for name in ("active", "code", "customer")}
    return list_objects(call, _KIND, filters={**filters, "coupon": "$.promotion.coupon"})


_PATH = "/v1/promotion_codes"

OPERATIONS = (
    Operation(
        method="POST",
        path=_PATH,
        params=PromotionCodeCreateParams,
        emulated=frozenset(
            {
                "active",
                "code",
                "customer",
                "expand",
                "expires_at",
                "max_redemptions",
                "metadata",
                "promotion",
                "restrictions[currency_options]",
                "restrictions[first_time_transaction]",
                "restrictions[minimum_amount]",
                "restrictions[minimum_amount_currency]",
            }
        ),
        run=_create,
    ),
    Operation(
        method="GET",
        path=_PATH,
        params=PromotionCodeListParams,
        emulated=PAGING | {"active", "code", "coupon", "customer"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=PromotionCodeRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=PromotionCodeUpdateParams,
        emulated=PAGING | {"active", "metadata"},
        run=_update,
    ),
)
