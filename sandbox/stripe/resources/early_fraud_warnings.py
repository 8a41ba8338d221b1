"""Early fraud warnings: the issuer believes that a payment was not its cardholder's."""

from typing import Literal, get_args

from stripe.params.radar import EarlyFraudWarningListParams, EarlyFraudWarningRetrieveParams

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.store import Condition, JsonObject, Record

FraudType = Literal[
    "card_never_received", "fraudulent_card_application", "made_with_counterfeit_card",
    "made_with_lost_card", "made_with_stolen_card", "misc", "unauthorized_use_of_card",
]  # fmt: skip
FRAUD_TYPES: tuple[str, ...] = get_args(FraudType)

_KIND = "radar.early_fraud_warning"


def warn(box: Box, charge: Record, *, fraud_type: FraudType, cause: Cause) -> Record:
    """Warn of a paid charge; only one that still can be refunded asks for an action."""
    if not charge.body["paid"]:
        raise InvalidRequest(f"Charge {charge.id} was not paid, so nobody warns of it.")
    warning = box.store.insert(
        {
            **box.stamp(_KIND),
            "actionable": _is_actionable(charge.body),
            "charge": charge.id,
            "fraud_type": fraud_type,
            "payment_intent": charge.body["payment_intent"],
        }
    )
    box.emit("radar.early_fraud_warning.created", warning.body, cause=cause)
    return warning


def settle_warnings(box: Box, charge: Record, cause: Cause) -> None:
    """Note that a charge was refunded or disputed: nothing is left to do about its warnings."""
    if _is_actionable(charge.body):
        return
    for warning in box.store.select(_KIND, (_of_charge(charge.id),), limit=100):
        if previous := box.change(warning, {"actionable": False}):
            box.emit(
                "radar.early_fraud_warning.updated", warning.body, cause=cause, previous=previous
            )


def _is_actionable(charge: JsonObject) -> bool:
    return not charge["refunded"] and not charge["disputed"]


def _of_charge(charge_id: str) -> Condition:
    return Condition(path="$.charge", value=charge_id)


def _retrieve(call: Call) -> JsonObject:
    return call.box.get(_KIND, call.path_params["id"], param="early_fraud_warning").body


def _list(call: Call) -> JsonObject:
    names = ("charge", "payment_intent")
    return list_objects(call, _KIND, filters={name: f"$.{name}" for name in names})


_PATH = "/v1/radar/early_fraud_warnings"

OPERATIONS = (
    Operation(
        method="GET",
        path=_PATH,
        params=EarlyFraudWarningListParams,
        emulated=PAGING | {"charge", "payment_intent"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=EarlyFraudWarningRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
)
