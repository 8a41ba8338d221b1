"""Charges: one per attempt to pay, succeeded or failed."""

from stripe.params import ChargeListParams, ChargeListRefundsParams, ChargeRetrieveParams

from sandbox.stripe.box import Box
from sandbox.stripe.cards import Card, Decline
from sandbox.stripe.listing import as_list, list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.payment_methods import Instrument, instrument_of
from sandbox.stripe.store import Condition, JsonObject, Record

_MERCHANT = "TOKENPROXY SANDBOX"


def new_charge(box: Box, *, intent: Record, method: Record, decline: Decline | None) -> Record:
    """Create the charge of one attempt; its metadata is copied from the PaymentIntent.

    One that is not declined is pending until it is booked. It has no `refunds` but when expanded.
    """
    instrument = instrument_of(method)
    stamp = box.stamp("charge")
    amount = intent.body["amount"]
    public_url = box.config.public_url.rstrip("/")
    body = {
        **stamp,
        "amount": amount,
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": method.body["billing_details"],
        "calculated_statement_descriptor": intent.body["statement_descriptor"] or _MERCHANT,
        "captured": False,
        "currency": intent.body["currency"],
        "customer": intent.body["customer"],
        "description": intent.body["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "metadata": dict(intent.body["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(decline),
        "paid": False,
        "payment_intent": intent.id,
        "payment_method": method.id,
        "payment_method_details": {
            instrument.type: _details(instrument, amount, decline),
            "type": instrument.type,
        },
        "receipt_email": intent.body["receipt_email"],
        "receipt_number": None,
        "receipt_url": None if decline else f"{public_url}/receipts/{stamp['id']}",
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": intent.body["statement_descriptor"],
        "statement_descriptor_suffix": intent.body["statement_descriptor_suffix"],
        "status": "failed" if decline else "pending",
        "transfer_data": None,
        "transfer_group": None,
    }
    return box.store.insert(body, {"number": instrument.number})


def refund_list(box: Box, charge_id: str) -> JsonObject:
    """Return a charge's newest refunds as the list that `expand` puts into it."""
    refunds = box.store.select("refund", (_of_charge(charge_id),), limit=11)
    url = f"/v1/charges/{charge_id}/refunds"
    return as_list([record.body for record in refunds[:10]], url=url, has_more=len(refunds) > 10)


def _of_charge(charge_id: str) -> Condition:
    return Condition(path="$.charge", operator="=", value=charge_id)


def _outcome(decline: Decline | None) -> JsonObject:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": (decline.decline_code or decline.code) if decline else None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": (
            "The bank did not return any further details with this decline."
            if decline
            else "Payment complete."
        ),
        "type": "issuer_declined" if decline else "authorized",
    }


def _details(instrument: Instrument, amount: int, decline: Decline | None) -> JsonObject:
    if isinstance(instrument, Card):
        return _card_details(instrument, amount, decline)
    unknown = ("expected_debit_date", "mandate", "payment_reference")
    return {**instrument.shown(), **dict.fromkeys(unknown)}


def _card_details(card: Card, amount: int, decline: Decline | None) -> JsonObject:
    bad_cvc = decline is not None and decline.code == "incorrect_cvc"
    return {
        **card.shown(),
        "amount_authorized": None if decline else amount,
        "authorization_code": None if decline else "123456",
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "fail" if bad_cvc else "pass",
        },
        "extended_authorization": {"status": "disabled"},
        "incremental_authorization": {"status": "unavailable"},
        "installments": None,
        "mandate": None,
        "multicapture": {"status": "unavailable"},
        "network": card.brand,
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": {"maximum_amount_capturable": amount, "status": "unavailable"},
        "three_d_secure": None,
        "transaction_link_id": None,
    }


def _retrieve(call: Call) -> JsonObject:
    return call.box.get("charge", call.path_params["id"], param="charge").body


def _list(call: Call) -> JsonObject:
    names = ("customer", "payment_intent")
    return list_objects(call, "charge", filters={name: f"$.{name}" for name in names})


def _refunds(call: Call) -> JsonObject:
    record = call.box.get("charge", call.path_params["id"], param="charge")
    return list_objects(call, "refund", conditions=(_of_charge(record.id),))


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/charges",
        params=ChargeListParams,
        emulated=PAGING | {"customer", "payment_intent"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/charges/{id}",
        params=ChargeRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="GET",
        path="/v1/charges/{id}/refunds",
        params=ChargeListRefundsParams,
        emulated=PAGING,
        run=_refunds,
    ),
)
