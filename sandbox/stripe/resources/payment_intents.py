"""PaymentIntents: what they look like, and what may be read and changed of any."""

from stripe.params import (
    PaymentIntentListParams,
    PaymentIntentRetrieveParams,
    PaymentIntentUpdateParams,
)

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.ids import random_text
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.shared import merge_metadata, method_types
from sandbox.stripe.store import JsonObject, Record

_PATH = "/v1/payment_intents"


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
        "payment_method_types": method_types(given, currency),
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
    cancel(box, get_payment_intent(box, intent_id), "expired", cause)


def cancel(box: Box, record: Record, reason: str | None, cause: Cause) -> None:
    changes = {
        "canceled_at": box.clock.now(),
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    box.change(record, changes)
    box.emit("payment_intent.canceled", record.body, cause=cause)


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
        method="POST",
        path=_PATH + "/{id}",
        params=PaymentIntentUpdateParams,
        emulated=PAGING | {"metadata", "description"},
        run=_update,
    ),
)
