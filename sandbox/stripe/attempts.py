"""One attempt to take a PaymentIntent's money with a payment method, and what comes of it.

requires_payment_method ──┬─→ succeeded
                          ├─→ requires_action ─→ succeeded, or back      the bank asks its customer
                          ├─→ processing ─→ succeeded, or back           a bank debit takes days
                          └─→ (back)                                     declined

Everything here writes inside its caller's transaction. Whoever made the PaymentIntent (Checkout or
the API) does the rest by the status that it finds.
"""

from typing import Literal

from sandbox.stripe.bank_accounts import RETURNED
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import DISPUTES, NOT_AUTHENTICATED, WARNS, Decline
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.resources.balance import charge_fee, new_balance_transaction
from sandbox.stripe.resources.charges import new_charge
from sandbox.stripe.resources.customers import new_customer
from sandbox.stripe.resources.disputes import open_dispute
from sandbox.stripe.resources.early_fraud_warnings import warn
from sandbox.stripe.resources.payment_methods import get_payment_method, instrument_of, set_up
from sandbox.stripe.store import JsonObject, Record

Status = Literal["succeeded", "processing", "requires_action", "requires_payment_method"]

_NOT_PASSED = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method "
    "and try again.",
)
SETUP_NOT_PASSED = Decline("setup_intent_authentication_failure", None, _NOT_PASSED.message)


def attempt(
    box: Box, intent: Record, method: Record, *, off_session: bool, cause: Cause
) -> Decline | None:
    """Try to take the money; return why it was declined. The status says what came of it."""
    instrument = instrument_of(method)
    is_set_up = bool(method.private.get("is_set_up"))
    if instrument.needs_authentication(off_session=off_session, is_set_up=is_set_up):
        if off_session:
            # Nobody is there to ask.
            return _decline(box, intent, method, NOT_AUTHENTICATED, cause)
        _ask(box, intent, method, cause)
        return None
    return _charge(box, intent, method, cause)


def authenticate(box: Box, intent: Record, *, is_passed: bool, cause: Cause) -> Decline | None:
    """Go on after the bank asked its customer; return why the payment failed then."""
    _refuse_unless(intent, "requires_action")
    method = get_payment_method(box, intent.body["payment_method"], param="payment_method")
    intent.body["next_action"] = None
    if is_passed:
        return _charge(box, intent, method, cause)
    _fail(box, intent, method, decline=_NOT_PASSED, charge=None, cause=cause)
    return _NOT_PASSED


def settle(box: Box, intent: Record, *, is_paid: bool, cause: Cause) -> Decline | None:
    """End a payment that was processing; return why it failed."""
    _refuse_unless(intent, "processing")
    method = get_payment_method(box, intent.body["payment_method"], param="payment_method")
    charge = box.get("charge", intent.body["latest_charge"], param="charge")
    intent.body["processing"] = None
    if is_paid:
        _succeed(box, intent, method, charge, cause)
        return None
    charge.body |= {
        "failure_code": RETURNED.decline_code,
        "failure_message": RETURNED.message,
        "receipt_url": None,
        "status": "failed",
    }
    box.store.save(charge)
    _fail(box, intent, method, decline=RETURNED, charge=charge, cause=cause)
    return RETURNED


def _charge(box: Box, intent: Record, method: Record, cause: Cause) -> Decline | None:
    decline = instrument_of(method).decline()
    if decline:
        return _decline(box, intent, method, decline, cause)
    _make_customer(box, intent, cause)
    charge = new_charge(box, intent=intent, method=method, decline=None)
    if instrument_of(method).is_slow:
        _wait(box, intent, method, charge, cause)
    else:
        _succeed(box, intent, method, charge, cause)
    return None


def _make_customer(box: Box, intent: Record, cause: Cause) -> None:
    """Make the customer whom Checkout was asked to make of whoever pays."""
    if given := intent.private.pop("new_customer", None):
        intent.body["customer"] = new_customer(box, given, cause).id


def _ask(box: Box, intent: Record, method: Record, cause: Cause) -> None:
    changes = {
        "last_payment_error": None,
        "next_action": _next_action(box, intent),
        "payment_method": method.id,
        "status": "requires_action",
    }
    box.change(intent, changes)
    box.emit("payment_intent.requires_action", intent.body, cause=cause)


def _next_action(box: Box, intent: Record) -> JsonObject:
    url = f"{box.config.public_url.rstrip('/')}/3ds/{intent.id}"
    return_url = intent.private.get("return_url")
    if return_url is None:
        # Stripe.js would open the bank's page; here that page can be opened by hand.
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": url}}
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": return_url, "url": url},
    }


def _wait(box: Box, intent: Record, method: Record, charge: Record, cause: Cause) -> None:
    changes = {
        "last_payment_error": None,
        "latest_charge": charge.id,
        "payment_method": method.id,
        "status": "processing",
    }
    box.change(intent, changes)
    _keep(box, intent, method, cause)
    box.emit("charge.pending", charge.body, cause=cause)
    box.emit("payment_intent.processing", intent.body, cause=cause)


def _succeed(box: Box, intent: Record, method: Record, charge: Record, cause: Cause) -> None:
    amount = charge.body["amount"]
    booked = new_balance_transaction(
        box,
        source=charge.body,
        kind="charge",
        amount=amount,
        fee=charge_fee(amount),
        description=charge.body["description"],
    )
    paid = {"balance_transaction": booked.id, "paid": True, "status": "succeeded"}
    box.change(charge, {**paid, "amount_captured": amount, "captured": True})
    changes = {
        "amount_received": amount,
        "last_payment_error": None,
        "latest_charge": charge.id,
        "payment_method": method.id,
        "status": "succeeded",
    }
    box.change(intent, changes)
    _keep(box, intent, method, cause)
    box.emit("charge.succeeded", charge.body, cause=cause)
    box.emit("payment_intent.succeeded", intent.body, cause=cause)


def _keep(box: Box, intent: Record, method: Record, cause: Cause) -> None:
    """Save the payment method if the customer agreed to that; else it was used for once."""
    if intent.body["setup_future_usage"] == "off_session" and intent.body["customer"]:
        set_up(box, method, intent.body["customer"], cause)
    elif method.body["customer"] is None:
        method.private["is_used_up"] = True
        box.store.save(method)


def follow_up(box: Box, intent: Record) -> None:
    """Do what some test cards stand for once they have paid."""
    if intent.body["status"] != "succeeded":
        return
    charge = box.get("charge", intent.body["latest_charge"], param="charge")
    number = charge.private["number"]
    if number == WARNS:
        warn(box, charge, fraud_type="misc", cause=Cause())
    if complaint := DISPUTES.get(number):
        open_dispute(
            box,
            charge,
            amount=None,
            reason=complaint.reason,
            is_inquiry=complaint.is_inquiry,
            cause=Cause(),
        )


def _decline(box: Box, intent: Record, method: Record, decline: Decline, cause: Cause) -> Decline:
    charge = new_charge(box, intent=intent, method=method, decline=decline)
    intent.body["latest_charge"] = charge.id
    _fail(box, intent, method, decline=decline, charge=charge, cause=cause)
    return decline


def _fail(
    box: Box,
    intent: Record,
    method: Record,
    *,
    decline: Decline,
    charge: Record | None,
    cause: Cause,
) -> None:
    error = failure(method, decline, charge)
    box.change(
        intent,
        {
            "last_payment_error": error,
            "payment_method": None,
            "status": "requires_payment_method",
        },
    )
    if charge:
        box.emit("charge.failed", charge.body, cause=cause)
    box.emit("payment_intent.payment_failed", intent.body, cause=cause)


def failure(method: Record, decline: Decline, charge: Record | None) -> JsonObject:
    """Return the error that an intent keeps of its last attempt."""
    error = {
        "advice_code": "try_again_later" if charge else None,
        "charge": charge and charge.id,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": method.body,
        "type": "card_error" if decline.decline_code else "invalid_request_error",
    }
    return {key: value for key, value in error.items() if value is not None}


def _refuse_unless(intent: Record, status: Status) -> None:
    if intent.body["status"] != status:
        raise InvalidRequest(
            f"This PaymentIntent has a status of {intent.body['status']}, not {status}.",
            code="payment_intent_unexpected_state",
            param="payment_intent",
        )
