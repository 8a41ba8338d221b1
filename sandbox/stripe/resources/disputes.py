"""Disputes: a cardholder takes a payment back, for good unless the bank decides otherwise.

An inquiry (`warning_…`) asks first and takes nothing; a dispute takes its amount and a fee at
once. `won` gives the amount back, `lost` keeps it. What a person at the bank does comes from the
control page; what the shop does comes from the API.
"""

from typing import Any, Literal, get_args

from stripe.params import (
    DisputeCloseParams,
    DisputeListParams,
    DisputeRetrieveParams,
    DisputeUpdateParams,
)

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.balance import new_balance_transaction
from sandbox.stripe.resources.early_fraud_warnings import settle_warnings
from sandbox.stripe.resources.shared import merge_metadata, or_none
from sandbox.stripe.store import Condition, JsonObject, Record

Reason = Literal[
    "bank_cannot_process", "check_returned", "credit_not_processed", "customer_initiated",
    "debit_not_authorized", "duplicate", "fraudulent", "general", "incorrect_account_details",
    "insufficient_funds", "noncompliant", "product_not_received", "product_unacceptable",
    "subscription_canceled", "unrecognized",
]  # fmt: skip
REASONS: tuple[str, ...] = get_args(Reason)

# Stripe's price of a dispute in the United States; a won one does not give it back.
_FEE = 1_500
_DAYS_TO_ANSWER_S = 9 * 24 * 60 * 60
_OPEN = frozenset(
    {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
)
# The network's code of https://docs.stripe.com/disputes/categories, of Visa.
_NETWORK_CODES = {"fraudulent": "10.4", "product_not_received": "13.1", "duplicate": "12.6.1"}

_TEXTS = frozenset(
    {
        "access_activity_log", "billing_address", "cancellation_policy_disclosure",
        "cancellation_rebuttal", "customer_email_address", "customer_name",
        "customer_purchase_ip", "duplicate_charge_explanation", "duplicate_charge_id",
        "product_description", "refund_policy_disclosure", "refund_refusal_explanation",
        "service_date", "shipping_address", "shipping_carrier", "shipping_date",
        "shipping_tracking_number", "uncategorized_text",
    }
)  # fmt: skip
_FILES = frozenset(
    {
        "cancellation_policy", "customer_communication", "customer_signature",
        "duplicate_charge_documentation", "receipt", "refund_policy", "service_documentation",
        "shipping_documentation", "uncategorized_file",
    }
)  # fmt: skip
# What decides a dispute in test mode: https://docs.stripe.com/testing#disputes
_VERDICTS = {"winning_evidence": "won", "losing_evidence": "lost"}


def open_dispute(
    box: Box, charge: Record, *, amount: int | None, reason: Reason, is_inquiry: bool, cause: Cause
) -> Record:
    """Let a cardholder dispute a paid charge, the whole of it unless told how much."""
    amount = _checked_amount(box, charge, amount)
    status = "warning_needs_response" if is_inquiry else "needs_response"
    dispute = box.store.insert(_body(box, charge.body, amount, reason, status))
    box.change(charge, {"disputed": True})
    if not is_inquiry:
        _book(box, dispute, -amount, fee=_FEE)
    settle_warnings(box, charge, cause)
    box.emit("charge.dispute.created", dispute.body, cause=cause)
    if not is_inquiry:
        box.emit("charge.dispute.funds_withdrawn", dispute.body, cause=cause)
    return dispute


def escalate(box: Box, dispute: Record, cause: Cause) -> None:
    """Turn an inquiry into a dispute, which takes the money."""
    _refuse_unless(
        dispute,
        dispute.body["status"].startswith("warning_") and is_open(dispute.body),
        "escalated",
    )
    previous = box.change(dispute, {"status": "needs_response", "is_charge_refundable": False})
    _book(box, dispute, -dispute.body["amount"], fee=_FEE)
    box.emit("charge.dispute.updated", dispute.body, cause=cause, previous=previous)
    box.emit("charge.dispute.funds_withdrawn", dispute.body, cause=cause)


def decide(box: Box, dispute: Record, *, is_won: bool, cause: Cause) -> None:
    """End an open dispute. An inquiry ends as `warning_closed` if it is won."""
    _refuse_unless(dispute, is_open(dispute.body), "decided")
    if dispute.body["status"].startswith("warning_") and not is_won:
        # An inquiry is only lost as the dispute that it becomes.
        escalate(box, dispute, cause)
    is_inquiry = dispute.body["status"].startswith("warning_")
    won = "warning_closed" if is_inquiry else "won"
    previous = box.change(
        dispute, {"status": won if is_won else "lost", "is_charge_refundable": is_won}
    )
    if is_won and not is_inquiry:
        _book(box, dispute, dispute.body["amount"], fee=0)
    box.emit("charge.dispute.closed", dispute.body, cause=cause, previous=previous)
    if is_won and not is_inquiry:
        box.emit("charge.dispute.funds_reinstated", dispute.body, cause=cause)


def submit(box: Box, dispute: Record, cause: Cause) -> None:
    """Hand the evidence to the bank, which then takes its time."""
    _refuse_unless(dispute, dispute.body["status"].endswith("needs_response"), "submitted")
    under_review = dispute.body["status"].replace("needs_response", "under_review")
    details = dispute.body["evidence_details"]
    count = details["submission_count"] + 1
    previous = box.change(
        dispute,
        {"status": under_review, "evidence_details": {**details, "submission_count": count}},
    )
    box.emit("charge.dispute.updated", dispute.body, cause=cause, previous=previous)


def is_open(dispute: JsonObject) -> bool:
    return dispute["status"] in _OPEN


def disputed_amount(box: Box, charge_id: str) -> int:
    """Return what disputes hold of a charge and a refund can't give."""
    disputes = _of_charge(box, charge_id)
    return sum(d.body["amount"] for d in disputes if not d.body["is_charge_refundable"])


def _of_charge(box: Box, charge_id: str) -> list[Record]:
    return box.store.select("dispute", (Condition(path="$.charge", value=charge_id),), limit=100)


def _checked_amount(box: Box, charge: Record, wanted: int | None) -> int:
    if not charge.body["paid"] or charge.body["status"] != "succeeded":
        raise InvalidRequest(f"Charge {charge.id} was not paid, so nobody disputes it.")
    lost_or_open = (
        d.body["amount"]
        for d in _of_charge(box, charge.id)
        if is_open(d.body) or d.body["status"] == "lost"
    )
    left = charge.body["amount_captured"] - sum(lost_or_open)
    amount = left if wanted is None else wanted
    if not 1 <= amount <= left:
        raise InvalidParameter(
            f"amount must be from 1 to {left}: so much of this charge is not disputed yet.",
            param="amount",
        )
    return amount


def _body(box: Box, charge: JsonObject, amount: int, reason: str, status: str) -> JsonObject:
    stamp = box.stamp("dispute")
    card = charge["payment_method_details"].get("card", {})
    is_inquiry = status.startswith("warning_")
    return {
        **stamp,
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys(sorted(_TEXTS | _FILES)) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": stamp["created"] + _DAYS_TO_ANSWER_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": is_inquiry,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": card.get("brand", "visa"),
                "case_type": "inquiry" if is_inquiry else "chargeback",
                "network_reason_code": _NETWORK_CODES.get(reason, "13.7"),
                "network": card.get("network", "visa"),
            },
            "type": "card",
        },
        "reason": reason,
        "status": status,
    }


def _book(box: Box, dispute: Record, amount: int, *, fee: int) -> None:
    """Move the money of a dispute: away (negative) or back."""
    kind = "dispute" if amount < 0 else "dispute_reversal"
    shown = written(abs(amount), dispute.body["currency"])
    booked = new_balance_transaction(
        box,
        source=dispute.body,
        kind="adjustment",
        category=kind,
        amount=amount,
        fee=fee,
        description=f"Chargeback {'withdrawal' if amount < 0 else 'reversal'} of {shown} for "
        f"{dispute.body['charge']}",
    )
    # A dispute holds its balance transactions as objects.
    box.change(
        dispute,
        {"balance_transactions": [*dispute.body["balance_transactions"], booked.body]},
    )


def _refuse_unless(dispute: Record, is_allowed: bool, what: str) -> None:
    if not is_allowed:
        raise InvalidRequest(
            f"This dispute has a status of `{dispute.body['status']}` and can't be {what}.",
            param="dispute",
        )


def get_dispute(box: Box, dispute_id: str) -> Record:
    return box.get("dispute", dispute_id, param="dispute")


def _retrieve(call: Call) -> JsonObject:
    return get_dispute(call.box, call.path_params["id"]).body


def _list(call: Call) -> JsonObject:
    names = ("charge", "payment_intent")
    return list_objects(call, "dispute", filters={name: f"$.{name}" for name in names})


def _update(call: Call) -> JsonObject:
    """Keep metadata and evidence; evidence goes to the bank unless `submit` is false."""
    box, given = call.box, call.params
    dispute = get_dispute(box, call.path_params["id"])
    changes: dict[str, Any] = {}
    if "metadata" in given:
        changes["metadata"] = merge_metadata(dispute.body["metadata"], given["metadata"])
    evidence = given.get("evidence")
    if evidence:
        _refuse_unless(dispute, is_open(dispute.body), "updated")
        kept = {name: or_none(text) for name, text in evidence.items()}
        changes["evidence"] = {**dispute.body["evidence"], **kept}
        changes["evidence_details"] = {**dispute.body["evidence_details"], "has_evidence": True}
    if previous := box.change(dispute, changes):
        box.emit("charge.dispute.updated", dispute.body, cause=call.cause, previous=previous)
    if given.get("submit", bool(evidence)):
        _submit(call, dispute)
    return dispute.body


def _submit(call: Call, dispute: Record) -> None:
    submit(call.box, dispute, call.cause)
    verdict = _VERDICTS.get(dispute.body["evidence"]["uncategorized_text"] or "")
    if verdict:
        decide(call.box, dispute, is_won=verdict == "won", cause=call.cause)


def _close(call: Call) -> JsonObject:
    """Give in: the dispute is lost."""
    dispute = get_dispute(call.box, call.path_params["id"])
    _refuse_unless(dispute, dispute.body["status"].endswith("needs_response"), "closed")
    decide(call.box, dispute, is_won=False, cause=call.cause)
    return dispute.body


_PATH = "/v1/disputes"

OPERATIONS = (
    Operation(
        method="GET",
        path=_PATH,
        params=DisputeListParams,
        emulated=PAGING | {"charge", "payment_intent"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=DisputeRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=DisputeUpdateParams,
        emulated=PAGING | {"metadata", "submit", *(f"evidence[{name}]" for name in _TEXTS)},
        run=_update,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}/close",
        params=DisputeCloseParams,
        emulated=PAGING,
        run=_close,
    ),
)
