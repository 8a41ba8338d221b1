"""PaymentIntents: made by Checkout or by the API, which also pays with saved payment methods."""

import copy

from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentIntentUpdateParams,
)

from sandbox.stripe.attempts import attempt, follow_up
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, PaymentDeclined
from sandbox.stripe.ids import random_text
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources.customers import check_email, get_customer
from sandbox.stripe.resources.payment_methods import (
    USED_UP,
    get_payment_method,
    usable_payment_method,
)
from sandbox.stripe.resources.shared import check_amount, checked_currency, merge_metadata
from sandbox.stripe.store import JsonObject, Record

_PATH = "/v1/payment_intents"
_EMULATED = frozenset(
    {
        "amount",
        "automatic_payment_methods",
        "confirm",
        "currency",
        "customer",
        "description",
        "expand",
        "metadata",
        "off_session",
        "payment_method",
        "receipt_email",
        "return_url",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
    }
)


def new_payment_intent(
    box: Box,
    *,
    amount: int,
    currency: str,
    customer: str | None,
    given: JsonObject,
    private: JsonObject,
    cause: Cause,
) -> Record:
    """Create a PaymentIntent without a payment method from validated parameters."""
    stamp = box.stamp("payment_intent")
    body = {
        **stamp,
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": given.get("automatic_payment_methods"),
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{stamp['id']}_secret_{random_text(25)}",
        "confirmation_method": "automatic",
        "currency": currency,
        "customer": customer,
        "customer_account": None,
        "description": given.get("description"),
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "managed_payments": {"enabled": False},
        "metadata": merge_metadata({}, given.get("metadata")),
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {
                "installments": None,
                "mandate_options": None,
                "network": None,
                "request_three_d_secure": "automatic",
            }
        },
        "payment_method_types": ["card", "us_bank_account"] if currency == "usd" else ["card"],
        "processing": None,
        "receipt_email": given.get("receipt_email"),
        "review": None,
        "setup_future_usage": given.get("setup_future_usage"),
        "shipping": None,
        "source": None,
        "statement_descriptor": given.get("statement_descriptor"),
        "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    record = box.store.insert(body, private)
    box.emit("payment_intent.created", body, cause=cause)
    return record


def get_payment_intent(box: Box, intent_id: str, *, param: str = "intent") -> Record:
    return box.get("payment_intent", intent_id, param=param)


def cancel_expired(box: Box, intent_id: str, cause: Cause) -> None:
    """Cancel the PaymentIntent of a session that expired after a declined attempt."""
    _cancel(box, get_payment_intent(box, intent_id), "expired", cause)


def _cancel(box: Box, record: Record, reason: str | None, cause: Cause) -> None:
    changes = {
        "canceled_at": box.clock.now(),
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    box.change(record, changes)
    box.emit("payment_intent.canceled", record.body, cause=cause)


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    refuse_empty(given)
    currency = checked_currency(given["currency"])
    check_amount(given["amount"], currency)
    check_email(given.get("receipt_email", ""), "receipt_email")
    _check_confirmation(given)
    customer = get_customer(box, given["customer"]).id if "customer" in given else None
    automatic = {"enabled": True, "allow_redirects": "always"}
    record = new_payment_intent(
        box,
        amount=given["amount"],
        currency=currency,
        customer=customer,
        given={**given, "automatic_payment_methods": automatic | _automatic(given)},
        private={"return_url": given.get("return_url")},
        cause=call.cause,
    )
    if "payment_method" in given:
        _choose(box, record, given["payment_method"])
    if given.get("confirm"):
        _confirm_now(call, record)
    return record.body


def _automatic(given: JsonObject) -> JsonObject:
    return dict(given.get("automatic_payment_methods", {}))


def _check_confirmation(given: JsonObject) -> None:
    is_confirmed = given.get("confirm", False)
    if is_confirmed and "payment_method" not in given:
        raise InvalidRequest(
            "You cannot confirm this PaymentIntent because it's missing a payment method. To "
            "confirm the PaymentIntent, specify a payment method attached to a customer.",
            code="payment_intent_unexpected_state",
        )
    for name in ("off_session", "return_url"):
        if name in given and not is_confirmed:
            raise InvalidParameter(
                f"`{name}` can only be passed when `confirm` is true.", param=name
            )
    if given.get("off_session") and "setup_future_usage" in given:
        raise InvalidParameter(
            "You cannot provide `setup_future_usage` when `off_session` is set.",
            param="setup_future_usage",
        )
    if is_confirmed:
        _check_redirects(given, _automatic(given))


def _check_redirects(given: JsonObject, automatic: JsonObject) -> None:
    if automatic.get("allow_redirects") != "never" and "return_url" not in given:
        raise InvalidParameter(
            "This PaymentIntent is configured to accept payment methods enabled in your "
            "Dashboard. Because some of these payment methods might redirect your customer off "
            "of your page, you must provide a `return_url`. If you don't want to accept "
            "redirect-based payment methods, set `automatic_payment_methods[enabled]` to `true` "
            "and `automatic_payment_methods[allow_redirects]` to `never` when creating Setup "
            "Intents and Payment Intents.",
            param="return_url",
        )


def _choose(box: Box, record: Record, method_id: str) -> None:
    """Put a payment method into an intent, which then waits to be confirmed."""
    method = usable_payment_method(box, method_id, param="payment_method", status=400)
    owner = method.body["customer"]
    if owner != record.body["customer"] and owner is not None:
        raise InvalidRequest(
            f"The PaymentMethod you provided ({method.id}) is attached to a customer. Pass that "
            "customer with it."
            if record.body["customer"] is None
            else f"The customer does not have a payment method with the ID {method.id}. The "
            "payment method must be attached to the customer.",
            code="payment_method_customer_mismatch",
            param="payment_method",
        )
    if method.private.get("is_used_up"):
        raise InvalidRequest(USED_UP, param="payment_method")
    box.change(record, {"payment_method": method.id, "status": "requires_confirmation"})


def _confirm_now(call: Call, record: Record) -> None:
    """Attempt to pay. A decline is an error that nevertheless has happened."""
    box, off_session = call.box, bool(call.params.get("off_session"))
    method = get_payment_method(box, record.body["payment_method"], param="payment_method")
    decline = attempt(box, record, method, off_session=off_session, cause=call.cause)
    if decline:
        error = dict(record.body["last_payment_error"])
        raise PaymentDeclined(
            error.pop("message"),
            code=error.pop("code"),
            **{name: value for name, value in error.items() if name != "type"},
            payment_intent=copy.deepcopy(record.body),
        )
    follow_up(box, record)


def _confirm(call: Call) -> JsonObject:
    box, given = call.box, call.params
    record = _changeable(call)
    if "payment_method" in given:
        _choose(box, record, given["payment_method"])
    if record.body["payment_method"] is None:
        raise _wrong_state(
            record,
            "You cannot confirm this PaymentIntent because it's missing a payment method. You can "
            "either update the PaymentIntent with a payment method and then confirm it again, or "
            "confirm it again directly with a payment method.",
        )
    _check_redirects(given, record.body["automatic_payment_methods"])
    record.private["return_url"] = given.get("return_url")
    box.store.save(record)
    _confirm_now(call, record)
    return record.body


_CHANGEABLE = ("requires_payment_method", "requires_confirmation", "requires_action")


def _changeable(call: Call) -> Record:
    """Return an intent that the shop may still change: open, and not one of Checkout."""
    record = get_payment_intent(call.box, call.path_params["id"])
    # `confirm` or `cancel`
    verb = call.path.rpartition("/")[2]
    if record.body["status"] not in _CHANGEABLE:
        raise _wrong_state(
            record,
            f"You cannot {verb} this PaymentIntent because it has a status of "
            f"{record.body['status']}. Only a PaymentIntent with one of the following statuses "
            f"may be {verb}ed: {', '.join(_CHANGEABLE)}.",
        )
    if record.private.get("session"):
        raise InvalidRequest(
            f"You can't {verb} this PaymentIntent because it was created by Checkout. To cancel "
            "it, expire its Checkout Session.",
            code="payment_intent_unexpected_state",
        )
    return record


def _wrong_state(record: Record, message: str) -> InvalidRequest:
    return InvalidRequest(
        message,
        code="payment_intent_unexpected_state",
        payment_intent=copy.deepcopy(record.body),
    )


def _cancel_open(call: Call) -> JsonObject:
    record = _changeable(call)
    _cancel(call.box, record, call.params.get("cancellation_reason"), call.cause)
    return record.body


def _update(call: Call) -> JsonObject:
    """Change what words it carries; an amount that was asked for stays."""
    record = get_payment_intent(call.box, call.path_params["id"])
    changes: JsonObject = {}
    if "metadata" in call.params:
        changes["metadata"] = merge_metadata(record.body["metadata"], call.params["metadata"])
    if "description" in call.params:
        changes["description"] = call.params["description"] or None
    call.box.change(record, changes)
    return record.body


def _retrieve(call: Call) -> JsonObject:
    return get_payment_intent(call.box, call.path_params["id"]).body


def _list(call: Call) -> JsonObject:
    return list_objects(call, "payment_intent", filters={"customer": "$.customer"})


OPERATIONS = (
    Operation(
        method="GET",
        path=_PATH,
        params=PaymentIntentListParams,
        emulated=PAGING | {"customer"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=PaymentIntentRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST", path=_PATH, params=PaymentIntentCreateParams, emulated=_EMULATED, run=_create
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=PaymentIntentUpdateParams,
        emulated=PAGING | {"metadata", "description"},
        run=_update,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}/confirm",
        params=PaymentIntentConfirmParams,
        emulated=PAGING | {"payment_method", "off_session", "return_url"},
        run=_confirm,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}/cancel",
        params=PaymentIntentCancelParams,
        emulated=PAGING | {"cancellation_reason"},
        run=_cancel_open,
    ),
)
