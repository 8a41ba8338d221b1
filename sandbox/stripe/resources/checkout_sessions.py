"""Checkout Sessions: created open, then complete or expired for good."""

from stripe.params.checkout import (
    SessionCreateParams,
    SessionExpireParams,
    SessionListLineItemsParams,
    SessionListParams,
    SessionRetrieveParams,
)

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.errors import InvalidRequest, ResourceMissing
from sandbox.stripe.listing import as_list, list_objects, page_limit
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.checkout_body import session_asks, session_body
from sandbox.stripe.resources.checkout_rules import (
    EMULATED,
    check,
    checked_total,
)
from sandbox.stripe.resources.line_items import new_line_items
from sandbox.stripe.resources.payment_intents import cancel_expired
from sandbox.stripe.resources.setup_intents import cancel_setup, new_setup_intent
from sandbox.stripe.store import Condition, JsonObject, Record
from sandbox.stripe.totals import recalculate, start_discount


def get_session(box: Box, session_id: str) -> Record:
    record = box.store.find(session_id, "checkout.session")
    if record is None:
        raise ResourceMissing("checkout.session", session_id, param="session")
    return record


def line_item_list(record: Record) -> JsonObject:
    """Return a session's first line items as the list that `expand` puts into it."""
    items = record.private["line_items"]
    url = f"/v1/checkout/sessions/{record.id}/line_items"
    return as_list(items[:10], url=url, has_more=len(items) > 10)


def expire_session(box: Box, record: Record, cause: Cause) -> None:
    """End an open session. It can't be paid afterwards."""
    if record.body["status"] != "open":
        raise InvalidRequest(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of `{record.body['status']}`.",
            param="session",
        )
    record.body |= {"status": "expired", "url": None}
    box.store.save(record)
    if record.body["payment_intent"]:
        cancel_expired(box, record.body["payment_intent"], cause)
    if record.body["setup_intent"]:
        cancel_setup(box, record.body["setup_intent"], cause)
    box.emit("checkout.session.expired", record.body, cause=cause)


def expire_overdue(box: Box) -> int:
    """Expire what is past its time; return how many. Safe to repeat."""
    overdue = box.store.select(
        "checkout.session",
        (
            Condition(path="$.status", operator="=", value="open"),
            Condition(path="$.expires_at", operator="<=", value=box.clock.now()),
        ),
        limit=100,
    )
    for record in overdue:
        expire_session(box, record, Cause())
    return len(overdue)


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    check(box, given)
    if given["mode"] == "setup":
        return _create_setup(call)
    items = new_line_items(box, given["line_items"], currency=given.get("currency"))
    total = checked_total(given, items)
    body = session_body(box, given, total, items[0]["currency"])
    private = {
        "line_items": items,
        "payment_intent_data": given.get("payment_intent_data", {}),
    }
    record = box.store.insert(body, private | session_asks(box, given))
    recalculate(box, record)
    for discount in given.get("discounts", []):
        start_discount(box, record, discount)
    return record.body


def _create_setup(call: Call) -> JsonObject:
    """Create a session that saves a payment method; its SetupIntent exists from the start."""
    box, given = call.box, call.params
    body = session_body(box, given, None, given.get("currency"))
    intent = new_setup_intent(
        box,
        customer=body["customer"],
        given=given.get("setup_intent_data", {}),
        kinds=body["payment_method_types"],
        session_id=body["id"],
        cause=call.cause,
    )
    body |= {
        "mode": "setup",
        "payment_status": "no_payment_required",
        "setup_intent": intent.id,
        "total_details": None,
    }
    return box.store.insert(body, {"line_items": []} | session_asks(box, given)).body


def _retrieve(call: Call) -> JsonObject:
    return get_session(call.box, call.path_params["id"]).body


def _expire(call: Call) -> JsonObject:
    record = get_session(call.box, call.path_params["id"])
    expire_session(call.box, record, call.cause)
    return record.body


def _list(call: Call) -> JsonObject:
    conditions: tuple[Condition, ...] = ()
    if details := call.params.get("customer_details"):
        email = details["email"]
        conditions = (Condition(path="$.customer_details.email", operator="=", value=email),)
    names = ("customer", "payment_intent", "status")
    filters = {name: f"$.{name}" for name in names}
    return list_objects(call, "checkout.session", filters=filters, conditions=conditions)


def _line_items(call: Call) -> JsonObject:
    items = get_session(call.box, call.path_params["id"]).private["line_items"]
    ids = [item["id"] for item in items]
    limit = page_limit(call.params)
    start, end = 0, len(items)
    if (cursor := call.params.get("starting_after")) is not None:
        start = _index(ids, cursor, "starting_after") + 1
    if (cursor := call.params.get("ending_before")) is not None:
        end = _index(ids, cursor, "ending_before")
        start = max(start, end - limit)
    page = items[start:end][:limit]
    has_more = start > 0 if "ending_before" in call.params else start + limit < end
    return as_list(page, url=call.path, has_more=has_more)


def _index(ids: list[str], wanted: str, param: str) -> int:
    if wanted not in ids:
        raise ResourceMissing("item", wanted, param=param, status=400)
    return ids.index(wanted)


_PATH = "/v1/checkout/sessions"

OPERATIONS = (
    Operation(
        method="POST", path=_PATH, params=SessionCreateParams, emulated=EMULATED, run=_create
    ),
    Operation(
        method="GET",
        path=_PATH,
        params=SessionListParams,
        emulated=PAGING | {"customer", "payment_intent", "status", "customer_details[email]"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=SessionRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}/expire",
        params=SessionExpireParams,
        emulated=PAGING,
        run=_expire,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}/line_items",
        params=SessionListLineItemsParams,
        emulated=PAGING,
        run=_line_items,
    ),
)
