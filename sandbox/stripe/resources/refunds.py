"""Refunds of a charge, whole or in parts.

A card refund succeeds at once, unless it is pending until the control page says otherwise. A
failed one, even one that had succeeded, gives the money back to the shop.
"""

from typing import Literal, get_args

from stripe.params import (
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
    RefundUpdateParams,
)

from sandbox.stripe import cards
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.balance import new_balance_transaction
from sandbox.stripe.resources.disputes import disputed_amount
from sandbox.stripe.resources.early_fraud_warnings import settle_warnings
from sandbox.stripe.resources.shared import check_step, merge_metadata
from sandbox.stripe.store import JsonObject, Record

FailureReason = Literal[
    "charge_for_pending_refund_disputed",
    "declined",
    "expired_or_canceled_card",
    "insufficient_funds",
    "lost_or_stolen_card",
    "merchant_request",
    "unknown",
]
FAILURE_REASONS: tuple[str, ...] = get_args(FailureReason)
Mode = Literal["normal", "pending"]
MODES: tuple[str, ...] = get_args(Mode)
_MODE = "refund_mode"


def new_refund(
    box: Box,
    charge: Record,
    *,
    amount: int | None,
    reason: str | None,
    metadata: dict[str, str] | None,
    cause: Cause,
) -> Record:
    """Refund a charge, the rest of it unless told how much. Raises if so much is not left."""
    amount = _amount(box, charge.body, amount)
    body = _body(box, charge.body, amount, reason=reason, metadata=metadata)
    refund = box.store.insert(body | _first_status(box, charge))
    booked = new_balance_transaction(
        box, source=refund.body, kind="refund", amount=-amount, fee=0, description=None
    )
    box.change(refund, {"balance_transaction": booked.id})
    box.emit("refund.created", refund.body, cause=cause)
    previous = _book(box, charge, amount)
    box.emit("charge.refunded", charge.body, cause=cause, previous=previous)
    settle_warnings(box, charge, cause)
    return refund


def succeed(box: Box, refund: Record, cause: Cause) -> None:
    """Let a pending refund arrive."""
    if refund.body["status"] != "pending":
        raise _wrong_state(refund, "succeed")
    previous = box.change(refund, {"status": "succeeded", "pending_reason": None})
    _tell(box, refund, ("refund.updated", "charge.refund.updated"), previous, cause)


def fail(box: Box, refund: Record, *, reason: FailureReason, cause: Cause) -> None:
    """Let a refund fail, even one that had succeeded: the money comes back to the balance."""
    if refund.body["status"] not in ("pending", "succeeded"):
        raise _wrong_state(refund, "fail")
    charge = box.get("charge", refund.body["charge"], param="charge")
    returned = new_balance_transaction(
        box,
        source=refund.body,
        kind="refund_failure",
        amount=refund.body["amount"],
        fee=0,
        description=f"REFUND FAILURE ({charge.id})",
    )
    changes = {
        "status": "failed",
        "failure_reason": reason,
        "failure_balance_transaction": returned.id,
        "pending_reason": None,
    }
    previous = box.change(refund, changes)
    _book(box, charge, -refund.body["amount"])
    events = ("refund.failed", "refund.updated", "charge.refund.updated")
    _tell(box, refund, events, previous, cause)


def _tell(
    box: Box, refund: Record, events: tuple[str, ...], previous: JsonObject, cause: Cause
) -> None:
    for event in events:
        box.emit(event, refund.body, cause=cause, previous=previous)


def _wrong_state(refund: Record, verb: str) -> InvalidRequest:
    return InvalidRequest(
        f"This refund has a status of `{refund.body['status']}` and can't {verb}.", param="refund"
    )


def _first_status(box: Box, charge: Record) -> JsonObject:
    """Return the state of a new refund: pending by the mode, or by the card that was charged."""
    is_slow = box.store.setting(_MODE, "normal") == "pending" or charge.private.get("number") == (
        cards.REFUNDS_LATER
    )
    return (
        {"status": "pending", "pending_reason": "processing"}
        if is_slow
        else {"status": "succeeded"}
    )


def set_mode(box: Box, mode: Mode) -> None:
    """Let new refunds succeed at once (`normal`) or wait for the control page (`pending`)."""
    box.store.set_setting(_MODE, mode)


def _create(call: Call) -> JsonObject:
    given = call.params
    return new_refund(
        call.box,
        _charge(call.box, given),
        amount=given.get("amount"),
        reason=given.get("reason"),
        metadata=given.get("metadata"),
        cause=call.cause,
    ).body


def _charge(box: Box, given: JsonObject) -> Record:
    """Return the charge to refund, named by itself or by its PaymentIntent."""
    names = [name for name in ("charge", "payment_intent") if name in given]
    if not names:
        raise InvalidParameter(
            "One of the following params should be provided for this request: payment_intent or "
            "charge.",
            code="parameter_missing",
        )
    if len(names) == 2:
        raise InvalidParameter(
            "You may only specify one of these parameters: charge, payment_intent."
        )
    if names == ["charge"]:
        charge_id = given["charge"]
    else:
        intent = box.get("payment_intent", given["payment_intent"], param="payment_intent")
        if intent.body["status"] != "succeeded":
            raise InvalidRequest(
                f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
                code="payment_intent_unexpected_state",
                param="payment_intent",
            )
        charge_id = intent.body["latest_charge"]
    return box.get("charge", charge_id, param="charge")


def _amount(box: Box, charge: JsonObject, wanted: int | None) -> int:
    unrefunded = charge["amount_captured"] - charge["amount_refunded"]
    left = max(0, unrefunded - disputed_amount(box, charge["id"]))
    if not charge["paid"]:
        raise InvalidRequest(
            f"Charge {charge['id']} failed and cannot be refunded.", param="charge"
        )
    if unrefunded and left == 0:
        raise InvalidRequest(
            f"Charge {charge['id']} has been charged back; cannot issue a refund.",
            code="charge_disputed",
        )
    if left == 0:
        raise InvalidRequest(
            f"Charge {charge['id']} has already been refunded.", code="charge_already_refunded"
        )
    amount = left if wanted is None else wanted
    if amount < 1:
        raise InvalidParameter(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )
    currency = charge["currency"]
    check_step(amount, currency, "amount")
    if amount > left:
        raise InvalidRequest(
            f"Refund amount ({written(amount, currency)}) is greater than unrefunded amount on "
            f"charge ({written(left, currency)})",
            param="amount",
        )
    return amount


def _body(
    box: Box,
    charge: JsonObject,
    amount: int,
    *,
    reason: str | None,
    metadata: dict[str, str] | None,
) -> JsonObject:
    stamp = box.stamp("refund")
    # Refunds have no `livemode`.
    del stamp["livemode"]
    return {
        **stamp,
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {
            "card": {
                "reference": None,
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": merge_metadata({}, metadata),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def _book(box: Box, charge: Record, amount: int) -> JsonObject:
    """Add a refund to its charge's totals, or take one off; return what they were."""
    total = charge.body["amount_refunded"] + amount
    return box.change(
        charge,
        {"amount_refunded": total, "refunded": total == charge.body["amount_captured"]},
    )


def get_refund(box: Box, refund_id: str) -> Record:
    return box.get("refund", refund_id, param="refund")


def _retrieve(call: Call) -> JsonObject:
    return get_refund(call.box, call.path_params["id"]).body


def _update(call: Call) -> JsonObject:
    record = get_refund(call.box, call.path_params["id"])
    before = record.body["metadata"]
    record.body["metadata"] = merge_metadata(before, call.params.get("metadata"))
    if record.body["metadata"] != before:
        call.box.store.save(record)
        call.box.emit(
            "refund.updated", record.body, cause=call.cause, previous={"metadata": before}
        )
    return record.body


def _list(call: Call) -> JsonObject:
    names = ("charge", "payment_intent")
    return list_objects(call, "refund", filters={name: f"$.{name}" for name in names})


OPERATIONS = (
    Operation(
        method="POST",
        path="/v1/refunds",
        params=RefundCreateParams,
        emulated=frozenset({"amount", "charge", "payment_intent", "metadata", "reason", "expand"}),
        run=_create,
    ),
    Operation(
        method="GET",
        path="/v1/refunds",
        params=RefundListParams,
        emulated=PAGING | {"charge", "payment_intent"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/refunds/{id}",
        params=RefundRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path="/v1/refunds/{id}",
        params=RefundUpdateParams,
        emulated=PAGING | {"metadata"},
        run=_update,
    ),
)
