"""PaymentIntents that the shop makes, confirms and cancels itself, with saved payment methods."""

import copy

from stripe.params import (
    PaymentIntentCancelParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
)

from sandbox.stripe.attempts import attempt, follow_up
from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, PaymentDeclined
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.params import refuse_empty
from sandbox.stripe.resources.customers import check_email, get_customer
from sandbox.stripe.resources.payment_intents import (
    cancel,
    get_payment_intent,
    new_payment_intent,
)
from sandbox.stripe.resources.payment_methods import (
    USED_UP,
    get_payment_method,
    usable_payment_method,
)
from sandbox.stripe.resources.shared import check_amount, checked_currency
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
        "allowed_payment_method_types[]",
        "receipt_email",
        "return_url",
        "setup_future_usage",
        "statement_descriptor",
        "statement_descriptor_suffix",
    }
)


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    refuse_empty(given)
    currency = checked_currency(given["currency"])
    check_amount(given["amount"], currency)
    check_email(given.get("receipt_email", ""), "receipt_email")
    _check_confirmation(given)
    customer = get_customer(box, given["customer"]).id if "customer" in given else None
    record = new_payment_intent(
        box,
        amount=given["amount"],
        currency=currency,
        customer=customer,
        given={**given, "automatic_payment_methods": _automatic(given)},
        private={"return_url": given.get("return_url")},
        cause=call.cause,
    )
    if "payment_method" in given:
        _choose(box, record, given["payment_method"])
    if given.get("confirm"):
        _confirm_now(call, record)
    return record.body


def _automatic(given: JsonObject) -> JsonObject | None:
    """Return how the dashboard's methods are used; None if the shop names the kinds itself."""
    if "allowed_payment_method_types" not in given:
        given_ways: JsonObject = given.get("automatic_payment_methods", {})
        return {"enabled": True, "allow_redirects": "always", **given_ways}
    if "automatic_payment_methods" in given:
        raise InvalidParameter(
            "You may only specify one of these parameters: automatic_payment_methods, "
            "allowed_payment_method_types.",
            param="automatic_payment_methods",
        )
    return None


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


def _check_redirects(given: JsonObject, automatic: JsonObject | None) -> None:
    if automatic is None:
        # Neither a card nor a bank account leads away.
        return
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
    kinds = record.body["payment_method_types"]
    if method.body["type"] not in kinds:
        raise InvalidRequest(
            f"The PaymentMethod provided ({method.body['type']}) is not allowed for this "
            "PaymentIntent. Please attach a PaymentMethod of one of the following types: "
            f"{', '.join(kinds)}.",
            code="payment_intent_incompatible_payment_method",
            param="payment_method",
        )
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
    cancel(call.box, record, call.params.get("cancellation_reason"), call.cause)
    return record.body


OPERATIONS = (
    Operation(
        method="POST", path=_PATH, params=PaymentIntentCreateParams, emulated=_EMULATED, run=_create
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
