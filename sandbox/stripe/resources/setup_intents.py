"""SetupIntents: a payment method is saved without paying. Checkout makes them, in `mode=setup`."""

from stripe.params import SetupIntentListParams, SetupIntentRetrieveParams

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.ids import random_text
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.shared import merge_metadata
from sandbox.stripe.store import JsonObject, Record


def new_setup_intent(
    box: Box,
    *,
    customer: str | None,
    given: JsonObject,
    kinds: list[str],
    session_id: str,
    cause: Cause,
) -> Record:
    """Create the SetupIntent of a Checkout Session."""
    stamp = box.stamp("setup_intent")
    record = box.store.insert(
        {
            **stamp,
            "application": None,
            "automatic_payment_methods": None,
            "cancellation_reason": None,
            "client_secret": f"{stamp['id']}_secret_{random_text(30)}",
            "customer": customer,
            "customer_account": None,
            "description": given.get("description"),
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "managed_payments": {"enabled": False},
            "mandate": None,
            "metadata": merge_metadata({}, given.get("metadata")),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {
                "card": {
                    "mandate_options": None,
                    "network": None,
                    "request_three_d_secure": "automatic",
                }
            },
            "payment_method_types": kinds,
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": "off_session",
        },
        {"session": session_id},
    )
    box.emit("setup_intent.created", record.body, cause=cause)
    return record


def get_setup_intent(box: Box, intent_id: str) -> Record:
    return box.get("setup_intent", intent_id, param="intent")


def cancel_setup(box: Box, intent_id: str, cause: Cause) -> None:
    """Cancel the SetupIntent of a session that expired."""
    record = get_setup_intent(box, intent_id)
    box.change(record, {"cancellation_reason": "abandoned", "status": "canceled"})
    box.emit("setup_intent.canceled", record.body, cause=cause)


def _retrieve(call: Call) -> JsonObject:
    return get_setup_intent(call.box, call.path_params["id"]).body


def _list(call: Call) -> JsonObject:
    names = ("customer", "payment_method")
    return list_objects(call, "setup_intent", filters={name: f"$.{name}" for name in names})


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/setup_intents",
        params=SetupIntentListParams,
        emulated=PAGING | {"customer", "payment_method"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/setup_intents/{id}",
        params=SetupIntentRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
)
