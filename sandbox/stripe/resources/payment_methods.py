"""Payment methods: what a customer pays with, kept with the customer if it is saved."""

from stripe.params import (
    CustomerPaymentMethodListParams,
    CustomerPaymentMethodRetrieveParams,
    PaymentMethodAttachParams,
    PaymentMethodDetachParams,
    PaymentMethodListParams,
    PaymentMethodRetrieveParams,
    PaymentMethodUpdateParams,
)

from sandbox.stripe import bank_accounts
from sandbox.stripe.bank_accounts import BankAccount
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import Card
from sandbox.stripe.errors import CardDeclined, InvalidParameter, InvalidRequest, ResourceMissing
from sandbox.stripe.listing import list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.customers import get_customer
from sandbox.stripe.resources.shared import billing_details, merge_metadata
from sandbox.stripe.store import Condition, JsonObject, Record

Instrument = Card | BankAccount

# Ids that stand for a test card: https://docs.stripe.com/testing?testing-method=payment-methods
_TEST_CARDS = {
    "pm_card_visa": "4242424242424242",
    "pm_card_mastercard": "5555555555554444",
    "pm_card_amex": "378282246310005",
    "pm_card_chargeCustomerFail": "4000000000000341",
    "pm_card_chargeDeclined": "4000000000000002",
    "pm_card_chargeDeclinedInsufficientFunds": "4000000000009995",
    "pm_card_authenticationRequired": "4000002760003184",
    "pm_card_authenticationRequiredOnSetup": "4000002500003155",
    "pm_card_createDispute": "4000000000000259",
    "pm_card_pendingRefund": "4000000000007726",
}
_TEST_ACCOUNTS = {"pm_usBankAccount_success": bank_accounts.PAYS}
_TEST_YEAR = 2034


def new_payment_method(box: Box, instrument: Instrument, *, email: str | None) -> Record:
    """Create a payment method as a form or a test id describes it; it belongs to nobody yet."""
    body = {
        **box.stamp("payment_method"),
        "allow_redisplay": "limited",
        "billing_details": billing_details(email=email, name=instrument.name),
        instrument.type: _card(instrument) if isinstance(instrument, Card) else _bank(instrument),
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": instrument.type,
    }
    return box.store.insert(body, {"number": instrument.number})


def instrument_of(method: Record) -> Instrument:
    """Return what a payment method stands for."""
    name = method.body["billing_details"]["name"]
    number = method.private["number"]
    if method.body["type"] != "card":
        return BankAccount(number=number, name=name)
    card = method.body["card"]
    return Card(number=number, exp_month=card["exp_month"], exp_year=card["exp_year"], name=name)


def get_payment_method(box: Box, method_id: str, *, param: str, status: int = 404) -> Record:
    record = box.store.find(method_id, "payment_method")
    if record is None:
        raise ResourceMissing("PaymentMethod", method_id, param=param, status=status)
    return record


def usable_payment_method(box: Box, method_id: str, *, param: str, status: int) -> Record:
    """Return a payment method to use; a test id such as `pm_card_visa` makes a new one."""
    if instrument := _test_instrument(method_id):
        return new_payment_method(box, instrument, email=None)
    return get_payment_method(box, method_id, param=param, status=status)


def attach(box: Box, method: Record, customer_id: str, cause: Cause) -> None:
    """Save a payment method with a customer. Repeating it changes nothing."""
    if method.body["customer"] == customer_id:
        return
    previous = box.change(method, {"customer": customer_id})
    box.emit("payment_method.attached", method.body, cause=cause, previous=previous)


def set_up(box: Box, method: Record, customer_id: str | None, cause: Cause) -> None:
    """Save a payment method for charges without its owner, to whom its bank agreed."""
    if customer_id:
        method.private["is_set_up"] = True
        box.store.save(method)
        attach(box, method, customer_id, cause)


def change_number(box: Box, method: Record, number: str) -> None:
    """Let a saved card behave like another test card from now on."""
    if method.body["type"] != "card":
        raise InvalidRequest("Only a card can be changed into another.", param="card")
    method.private["number"] = number
    box.store.save(method)


def _test_instrument(method_id: str) -> Instrument | None:
    if number := _TEST_CARDS.get(method_id):
        return Card(number=number, exp_month=12, exp_year=_TEST_YEAR)
    if number := _TEST_ACCOUNTS.get(method_id):
        return BankAccount(number=number, name="Jenny Rosen")
    return None


def _card(card: Card) -> JsonObject:
    return {
        **card.shown(),
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
        },
        "display_brand": card.brand,
        "generated_from": None,
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
    }


def _bank(account: BankAccount) -> JsonObject:
    return {
        **account.shown(),
        "financial_connections_account": None,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "status_details": {},
    }


def _retrieve(call: Call) -> JsonObject:
    return get_payment_method(call.box, call.path_params["id"], param="payment_method").body


def _list(call: Call) -> JsonObject:
    if "customer" not in call.params:
        # Stripe lists only those of a customer, and of Treasury.
        raise InvalidParameter(
            "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    get_customer(call.box, call.params["customer"])
    filters = {name: f"$.{name}" for name in ("customer", "type", "allow_redisplay")}
    return list_objects(call, "payment_method", filters=filters)


def _attach(call: Call) -> JsonObject:
    box = call.box
    if "customer" not in call.params:
        raise InvalidParameter(
            "Missing required param: customer.", code="parameter_missing", param="customer"
        )
    customer = get_customer(box, call.params["customer"])
    method_id = call.path_params["id"]
    method = usable_payment_method(box, method_id, param="payment_method", status=404)
    if method.body["customer"] not in (None, customer.id):
        raise InvalidRequest(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    if method.private.get("is_used_up"):
        raise InvalidRequest(USED_UP, code="payment_method_unexpected_state")
    if decline := instrument_of(method).refuses_setup():
        raise CardDeclined(decline.message, code=decline.code, decline_code=decline.decline_code)
    attach(box, method, customer.id, call.cause)
    return method.body


USED_UP = (
    "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
    "attachment, shared with a connected account without Customer attachment, or was detached "
    "from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must "
    "attach it to a Customer first."
)


def _detach(call: Call) -> JsonObject:
    box = call.box
    method = get_payment_method(box, call.path_params["id"], param="payment_method")
    if method.body["customer"] is None:
        raise InvalidRequest(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
            code="payment_method_unexpected_state",
        )
    method.private["is_used_up"] = True
    previous = box.change(method, {"customer": None})
    box.emit("payment_method.detached", method.body, cause=call.cause, previous=previous)
    return method.body


def _update(call: Call) -> JsonObject:
    box, given = call.box, call.params
    method = get_payment_method(box, call.path_params["id"], param="payment_method")
    changes: JsonObject = {}
    if "metadata" in given:
        changes["metadata"] = merge_metadata(method.body["metadata"], given["metadata"])
    if "allow_redisplay" in given:
        changes["allow_redisplay"] = given["allow_redisplay"]
    if previous := box.change(method, changes):
        box.emit("payment_method.updated", method.body, cause=call.cause, previous=previous)
    return method.body


def _of_customer(call: Call) -> JsonObject:
    customer = call.box.get("customer", call.path_params["customer"], param="customer")
    return list_objects(
        call,
        "payment_method",
        filters={name: f"$.{name}" for name in ("type", "allow_redisplay")},
        conditions=(Condition(path="$.customer", value=customer.id),),
    )


def _one_of_customer(call: Call) -> JsonObject:
    method_id = call.path_params["id"]
    record = call.box.store.find(method_id, "payment_method")
    if record is None or record.body["customer"] != call.path_params["customer"]:
        raise ResourceMissing("PaymentMethod", method_id, param="payment_method")
    return record.body


_PATH = "/v1/payment_methods"
_OF_CUSTOMER = "/v1/customers/{customer}/payment_methods"

OPERATIONS = (
    Operation(
        method="GET",
        path=_PATH,
        params=PaymentMethodListParams,
        emulated=PAGING | {"customer", "type", "allow_redisplay"},
        run=_list,
    ),
    Operation(
        method="GET",
        path=_PATH + "/{id}",
        params=PaymentMethodRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}",
        params=PaymentMethodUpdateParams,
        emulated=PAGING | {"metadata", "allow_redisplay"},
        run=_update,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}/attach",
        params=PaymentMethodAttachParams,
        emulated=PAGING | {"customer"},
        run=_attach,
    ),
    Operation(
        method="POST",
        path=_PATH + "/{id}/detach",
        params=PaymentMethodDetachParams,
        emulated=PAGING,
        run=_detach,
    ),
    Operation(
        method="GET",
        path=_OF_CUSTOMER,
        params=CustomerPaymentMethodListParams,
        emulated=PAGING | {"type", "allow_redisplay"},
        run=_of_customer,
    ),
    Operation(
        method="GET",
        path=_OF_CUSTOMER + "/{id}",
        params=CustomerPaymentMethodRetrieveParams,
        emulated=PAGING,
        run=_one_of_customer,
    ),
)
