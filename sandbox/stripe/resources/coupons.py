"""Coupons: how much is taken off. Customers enter promotion codes, which name a coupon."""

from decimal import Decimal

from stripe.params import (
    CouponCreateParams,
    CouponDeleteParams,
    CouponListParams,
    CouponRetrieveParams,
    CouponUpdateParams,
)

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.ids import new_id
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources.shared import checked_currency, merge_metadata, or_none
from sandbox.stripe.store import Condition, JsonObject, Record

_NOT_DELETED = Condition(path="$.created", operator=">=", value=0)


def get_coupon(box: Box, coupon_id: str, *, param: str = "coupon", status: int = 404) -> Record:
    record = box.get("coupon", coupon_id, param=param, status=status)
    if record.body.get("deleted"):
        raise InvalidParameter(
            f"No such coupon: '{coupon_id}'", code="resource_missing", param=param
        )
    return record


def shown(box: Box, record: Record) -> JsonObject:
    """Return a coupon with `valid` as it is now."""
    body = record.body
    is_late = body["redeem_by"] is not None and body["redeem_by"] <= box.clock.now()
    most = body["max_redemptions"]
    is_used_up = most is not None and body["times_redeemed"] >= most
    return {**body, "valid": not (is_late or is_used_up)}


def amount_off_in(coupon: JsonObject, currency: str) -> int | None:
    """Return a coupon's fixed amount in a currency; None if it has none."""
    if coupon["currency"] == currency:
        return int(coupon["amount_off"])
    option = coupon.get("currency_options", {}).get(currency)
    return None if option is None else int(option["amount_off"])


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    refuse_empty(given)
    body = {
        **box.stamp("coupon"),
        "id": _free_id(box, given.get("id")),
        "amount_off": None,
        "currency": None,
        "duration": _duration(given),
        "duration_in_months": None,
        "max_redemptions": given.get("max_redemptions"),
        "metadata": merge_metadata({}, given.get("metadata")),
        "name": given.get("name"),
        "percent_off": None,
        "redeem_by": given.get("redeem_by"),
        "times_redeemed": 0,
        "valid": True,
        **_worth(given),
    }
    record = box.store.insert(body)
    box.emit("coupon.created", shown(box, record), cause=call.cause)
    return shown(box, record)


def _free_id(box: Box, wanted: str | None) -> str:
    if wanted is None:
        return new_id("coupon")
    if box.store.find(wanted):
        raise InvalidRequest("Coupon already exists.", code="resource_already_exists", param="id")
    return wanted


def _duration(given: JsonObject) -> str:
    duration = str(given.get("duration", "once"))
    if duration == "repeating":
        raise InvalidParameter(
            "The sandbox emulates no subscriptions, which `repeating` is for.",
            code="parameter_not_emulated",
            param="duration",
        )
    return duration


def _worth(given: JsonObject) -> JsonObject:
    if ("percent_off" in given) == ("amount_off" in given):
        raise InvalidParameter(
            "You must pass either `percent_off` or `amount_off`, and not both.",
            code="parameter_missing",
            param="percent_off",
        )
    if "percent_off" in given:
        return {"percent_off": _percent(given["percent_off"])}
    if "currency" not in given:
        raise InvalidParameter(
            "Missing required param: currency.", code="parameter_missing", param="currency"
        )
    if given["amount_off"] < 1:
        raise InvalidParameter(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount_off",
        )
    return {"amount_off": given["amount_off"], "currency": checked_currency(given["currency"])}


def _percent(percent: Decimal) -> float:
    if not 0 < percent <= 100:
        raise InvalidParameter(
            "Invalid percent_off: must be greater than 0 and less than or equal to 100.",
            param="percent_off",
        )
    return float(percent)


def _retrieve(call: Call) -> JsonObject:
    return shown(call.box, get_coupon(call.box, call.path_params["id"]))


def _update(call: Call) -> JsonObject:
    box, given = call.box, call.params
    record = get_coupon(box, call.path_params["id"])
    changes: JsonObject = {}
    if "name" in given:
        changes["name"] = or_none(given["name"])
    if "metadata" in given:
        changes["metadata"] = merge_metadata(record.body["metadata"], given["metadata"])
    if previous := box.change(record, changes):
        box.emit("coupon.updated", shown(box, record), cause=call.cause, previous=previous)
    return shown(box, record)


def _delete(call: Call) -> JsonObject:
    record = get_coupon(call.box, call.path_params["id"])
    call.box.emit("coupon.deleted", shown(call.box, record), cause=call.cause)
    record.body = {"id": record.id, "object": "coupon", "deleted": True}
    call.box.store.save(record)
    return record.body


def _list(call: Call) -> JsonObject:
    return list_objects(
        call, "coupon", conditions=(_NOT_DELETED,), show=lambda record: shown(call.box, record)
    )


_PATH = "/v1/coupons"

OPERATIONS = (
    Operation(
        method="POST",
        path=_PATH,
        params=CouponCreateParams,
        emulated=frozenset(
            {
                "amount_off",
                "currency",
                "duration",
                "expand",
                "id",
                "max_redemptions",
                "metadata",
                "name",
                "percent_off",
                "redeem_by",
            }
        ),
        run=_create,
    ),
    Operation(method="GET", path=_PATH, params=CouponListParams, emulated=PAGING, run=_list),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=CouponRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=CouponUpdateParams,
        emulated=PAGING | {"name", "metadata"},
        run=_update,
    ),
    Operation(
        method="DELETE",
        path=_PATH + "/{id}",
        params=CouponDeleteParams,
        emulated=PAGING,
        run=_delete,
    ),
)
