"""Refunds of a charge, whole or in parts; a card refund succeeds at once."""

from stripe.params import (
    RefundCreateParams,
    RefundListParams,
    RefundRetrieveParams,
    RefundUpdateParams,
)

from sandbox.stripe.box import Box
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.balance import new_balance_transaction
from sandbox.stripe.resources.shared import merge_metadata
from sandbox.stripe.store import JsonObject, Record


def _create(call: Call) -> JsonObject:
    box, given = call.box, call.params
    charge = _charge(box, given)
    amount = _amount(charge.body, given.get("amount"))
    refund = box.store.insert(_body(box, charge.body, amount, given))
    booked = new_balance_transaction(
        box, source=refund.body, kind="refund", amount=-amount, fee=0, description=None
    )
    refund.body["balance_transaction"] = booked.id
    box.store.save(refund)
    box.emit("refund.created", refund.body, cause=call.cause)
    _book(call, charge, amount)
    return refund.body


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


def _amount(charge: JsonObject, wanted: int | None) -> int:
    left = charge["amount_captured"] - charge["amount_refunded"]
    if not charge["paid"]:
        raise InvalidRequest(
            f"Charge {charge['id']} failed and cannot be refunded.", param="charge"
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
    if amount > left:
        currency = charge["currency"]
        raise InvalidRequest(
            f"Refund amount ({written(amount, currency)}) is greater than unrefunded amount on "
            f"charge ({written(left, currency)})",
            param="amount",
        )
    return amount


def _body(box: Box, charge: JsonObject, amount: int, given: JsonObject) -> JsonObject:
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
        "metadata": merge_metadata({}, given.get("metadata")),
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
    }


def _book(call: Call, charge: Record, amount: int) -> None:
    """Add a refund to its charge's totals."""
    previous = {key: charge.body[key] for key in ("amount_refunded", "refunded")}
    total = charge.body["amount_refunded"] + amount
    charge.body |= {
        "amount_refunded": total,
        "refunded": total == charge.body["amount_captured"],
    }
    call.box.store.save(charge)
    changed = {key: value for key, value in previous.items() if charge.body[key] != value}
    call.box.emit("charge.refunded", charge.body, cause=call.cause, previous=changed)


def _retrieve(call: Call) -> JsonObject:
    return call.box.get("refund", call.path_params["id"], param="refund").body


def _update(call: Call) -> JsonObject:
    record = call.box.get("refund", call.path_params["id"], param="refund")
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
