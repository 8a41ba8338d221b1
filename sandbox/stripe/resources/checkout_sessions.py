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
from sandbox.stripe.resources.checkout_rules import (
    EMULATED,
    check,
    checked_expires_at,
    checked_total,
)
from sandbox.stripe.resources.customers import get_customer
from sandbox.stripe.resources.line_items import new_line_items
from sandbox.stripe.resources.payment_intents import cancel_expired
from sandbox.stripe.resources.setup_intents import cancel_setup, new_setup_intent
from sandbox.stripe.resources.shared import merge_metadata
from sandbox.stripe.store import Condition, JsonObject, Record


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
    body = _body(box, given, total, items[0]["currency"])
    private = {
        "line_items": items,
        "payment_intent_data": given.get("payment_intent_data", {}),
    }
    return box.store.insert(body, private).body


def _create_setup(call: Call) -> JsonObject:
    """Create a session that saves a payment method; its SetupIntent exists from the start."""
    box, given = call.box, call.params
    body = _body(box, given, None, given.get("currency"))
    intent = new_setup_intent(
        box,
        customer=body["customer"],
        given=given.get("setup_intent_data", {}),
        session_id=body["id"],
        cause=call.cause,
    )
    body |= {
        "mode": "setup",
        "payment_status": "no_payment_required",
        "setup_intent": intent.id,
        "total_details": None,
    }
    return box.store.insert(body, {"line_items": []}).body


def _customer_details(box: Box, given: JsonObject) -> JsonObject | None:
    email = given.get("customer_email")
    if "customer" in given:
        email = get_customer(box, given["customer"]).body["email"]
    if email is None:
        return None
    return customer_details(email=email, name=None)


def customer_details(*, email: str, name: str | None) -> JsonObject:
    return {
        "address": None,
        "business_name": None,
        "email": email,
        "individual_name": None,
        "name": name,
        "phone": None,
        "tax_exempt": "none",
        "tax_ids": None,
    }


def _body(box: Box, given: JsonObject, total: int | None, currency: str | None) -> JsonObject:
    stamp = box.stamp("checkout.session")
    creation = None if "customer" in given else given.get("customer_creation", "if_required")
    return {
        **stamp,
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": total,
        "amount_total": total,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency": currency,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None,
            "shipping_address": None,
            "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": given.get("customer"),
        "customer_account": None,
        "customer_creation": creation,
        "customer_details": _customer_details(box, given),
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "expires_at": checked_expires_at(box, given),
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": {
            "enabled": False,
            "invoice_data": {
                "account_tax_ids": None,
                "custom_fields": None,
                "description": None,
                "footer": None,
                "issuer": None,
                "metadata": {},
                "rendering_options": None,
            },
        },
        "locale": given.get("locale"),
        "managed_payments": {"enabled": False},
        "metadata": merge_metadata({}, given.get("metadata")),
        "mode": "payment",
        "origin_context": None,
        # Stripe makes the PaymentIntent when the customer first tries to pay.
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
        # A bank account is debited in dollars only.
        "payment_method_types": ["card", "us_bank_account"] if currency == "usd" else ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": _saving(given),
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": given.get("submit_type"),
        "subscription": None,
        "success_url": given["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{box.config.public_url.rstrip('/')}/c/pay/{stamp['id']}",
        "wallet_options": None,
    }


def _saving(given: JsonObject) -> JsonObject | None:
    options = given.get("saved_payment_method_options")
    if options is None:
        return None
    return {
        "allow_redisplay_filters": ["always"],
        "payment_method_remove": "disabled",
        "payment_method_save": options.get("payment_method_save", "disabled"),
    }


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
