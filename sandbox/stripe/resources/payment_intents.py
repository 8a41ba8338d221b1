"""PaymentIntents. Checkout makes them; the API reads them."""

from stripe.params import PaymentIntentListParams, PaymentIntentRetrieveParams

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.ids import random_text
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.shared import merge_metadata
from sandbox.stripe.store import JsonObject, Record


def new_payment_intent(box: Box, session: Record, cause: Cause) -> Record:
    """Create the PaymentIntent of a Checkout Session; its metadata is the one meant for it."""
    given = session.private["payment_intent_data"]
    stamp = box.stamp("payment_intent")
    body = {
        **stamp,
        "amount": session.body["amount_total"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": f"{stamp['id']}_secret_{random_text(25)}",
        "confirmation_method": "automatic",
        "currency": session.body["currency"],
        "customer": session.body["customer"],
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
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": given.get("receipt_email"),
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": given.get("statement_descriptor"),
        "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    }
    record = box.store.insert(body)
    box.emit("payment_intent.created", body, cause=cause)
    return record


def cancel_expired(box: Box, intent_id: str, cause: Cause) -> None:
    """Cancel the PaymentIntent of a session that expired after a declined attempt."""
    record = box.get("payment_intent", intent_id, param="intent")
    record.body |= {
        "canceled_at": box.clock.now(),
        "cancellation_reason": "expired",
        "status": "canceled",
    }
    box.store.save(record)
    box.emit("payment_intent.canceled", record.body, cause=cause)


def _retrieve(call: Call) -> JsonObject:
    return call.box.get("payment_intent", call.path_params["id"], param="intent").body


def _list(call: Call) -> JsonObject:
    return list_objects(call, "payment_intent", filters={"customer": "$.customer"})


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/payment_intents",
        params=PaymentIntentListParams,
        emulated=PAGING | {"customer"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/payment_intents/{id}",
        params=PaymentIntentRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
)
