"""A customer pays, or tries to, on the Checkout page: everything it changes, in one transaction."""

from dataclasses import dataclass
from typing import Literal

from sandbox.stripe import attempts
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import Card, Decline
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.resources.checkout_body import customer_details
from sandbox.stripe.resources.checkout_sessions import expire_session, get_session
from sandbox.stripe.resources.customers import check_email, get_customer, new_customer
from sandbox.stripe.resources.invoices import new_invoice
from sandbox.stripe.resources.payment_intents import get_payment_intent, new_payment_intent
from sandbox.stripe.resources.payment_methods import (
    Instrument,
    get_payment_method,
    new_payment_method,
    set_up,
)
from sandbox.stripe.resources.promotion_codes import redeem
from sandbox.stripe.resources.setup_intents import get_setup_intent
from sandbox.stripe.resources.shared import EMPTY_ADDRESS
from sandbox.stripe.store import JsonObject, Record
from sandbox.stripe.tax_ids import read_tax_id
from sandbox.stripe.totals import apply_code, remove_code, set_country

# What a person did has no API request behind it.
_NO_REQUEST = Cause()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: Literal["paid", "free", "processing", "saved", "requires_action", "declined"]
    session: JsonObject
    # The id of the attempt's charge, where there was one.
    charge_id: str | None = None
    decline: Decline | None = None


@dataclass(frozen=True, kw_only=True)
class Payer:
    """Who pays, with what, and whether that may be kept for later."""

    instrument: Instrument
    email: str
    is_saving: bool = False
    tax_id: str = ""


class SessionClosed(InvalidRequest):
    """The session is paid, or its time is over."""

    status = 409


def pay(box: Box, session_id: str, payer: Payer) -> Outcome:
    """Try to pay an open session. A decline is an outcome, and leaves the session open.

    Raises SessionClosed; then nothing was charged.
    """
    with box.store.transaction():
        session = get_session(box, session_id)
        _close_if_overdue(box, session)
        status = session.body["status"]
        if status == "open":
            check_email(payer.email, "email")
            if payer.instrument.type not in session.body["payment_method_types"]:
                raise InvalidRequest(
                    f"This Checkout Session takes no {payer.instrument.type}.", param="method"
                )
            _note_payer(box, session, payer)
            if session.body["mode"] == "setup":
                return _save(box, session, payer)
            if session.body["amount_total"] == 0:
                return _give(box, session)
            return _attempt(box, session, payer)
    raise SessionClosed(f"This Checkout Session is {status} and can't be paid.", param="session")


def change_order(
    box: Box, session_id: str, *, code: str | None = None, country: str | None = None
) -> JsonObject:
    """Redeem a promotion code (empty: none any more), or choose a country; both change the total.

    Return the session.
    """
    with box.store.transaction():
        session = get_session(box, session_id)
        _close_if_overdue(box, session)
        status = session.body["status"]
        if status == "open":
            if country is not None:
                set_country(box, session, country)
            if code == "":
                remove_code(box, session)
            elif code is not None:
                apply_code(box, session, code)
            return session.body
    raise SessionClosed(f"This Checkout Session is {status}.", param="session")


def authenticate(box: Box, session_id: str, *, is_passed: bool) -> Outcome:
    """Answer the bank's question about a session's payment. Raises if there is none."""
    with box.store.transaction():
        session = get_session(box, session_id)
        if session.body["status"] != "open":
            raise SessionClosed(f"This Checkout Session is {session.body['status']}.")
        if session.body["mode"] == "setup":
            return _authenticate_setup(box, session, is_passed=is_passed)
        if session.body["payment_intent"] is None:
            raise InvalidRequest("Nobody tried to pay this Checkout Session yet.")
        intent = get_payment_intent(box, session.body["payment_intent"])
        decline = attempts.authenticate(box, intent, is_passed=is_passed, cause=_NO_REQUEST)
        return _outcome(box, session, intent, decline)


def settle(box: Box, intent: Record, *, is_paid: bool) -> None:
    """End a payment that was processing, and tell of its session if it has one."""
    attempts.settle(box, intent, is_paid=is_paid, cause=_NO_REQUEST)
    session_id = intent.private.get("session")
    if session_id is None:
        attempts.follow_up(box, intent)
        return
    session = get_session(box, session_id)
    if is_paid:
        box.change(session, {"payment_status": "paid"})
        _invoice(box, session)
    event = "async_payment_succeeded" if is_paid else "async_payment_failed"
    box.emit(f"checkout.session.{event}", session.body, cause=_NO_REQUEST)
    attempts.follow_up(box, intent)


def redirect_url(session: JsonObject) -> str:
    """Return where the customer goes after paying."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _close_if_overdue(box: Box, session: Record) -> None:
    if session.body["status"] == "open" and session.body["expires_at"] <= box.clock.now():
        expire_session(box, session, _NO_REQUEST)


def _attempt(box: Box, session: Record, payer: Payer) -> Outcome:
    intent = _intent(box, session)
    if given := _wanted_customer(session):
        intent.private["new_customer"] = given
    if payer.is_saving and _may_save(session.body):
        intent.body["setup_future_usage"] = "off_session"
    method = new_payment_method(box, payer.instrument, email=payer.email)
    decline = attempts.attempt(box, intent, method, off_session=False, cause=_NO_REQUEST)
    return _outcome(box, session, intent, decline)


def _intent(box: Box, session: Record) -> Record:
    """Return the session's PaymentIntent, made at its first attempt and used for every other."""
    if intent_id := session.body["payment_intent"]:
        intent = get_payment_intent(box, intent_id)
        intent.body["amount"] = session.body["amount_total"]
        return intent
    intent = new_payment_intent(
        box,
        amount=session.body["amount_total"],
        currency=session.body["currency"],
        customer=session.body["customer"],
        given=session.private["payment_intent_data"],
        private={"session": session.id},
        cause=_NO_REQUEST,
    )
    box.change(session, {"payment_intent": intent.id})
    return intent


def _note_payer(box: Box, session: Record, payer: Payer) -> None:
    """Remember who pays for when it succeeds, which may be days later."""
    if session.body["automatic_tax"]["enabled"] and not session.private.get("country"):
        raise InvalidRequest("Please choose your country.", param="country")
    tax_id = payer.tax_id if session.private.get("asks_tax_id") else ""
    session.private["payer"] = {
        "email": payer.email,
        "name": payer.instrument.name,
        "tax_id": read_tax_id(tax_id, session.private.get("country")),
    }
    box.store.save(session)


def _wanted_customer(session: Record) -> JsonObject | None:
    """Return whom to make a customer of once he pays; None if there is no need."""
    needs_one = session.body["invoice_creation"]["enabled"] and not session.body["customer"]
    if session.body["customer_creation"] != "always" and not needs_one:
        return None
    payer, country = session.private["payer"], session.private.get("country")
    given: JsonObject = {"email": payer["email"], "name": payer["name"] or ""}
    return {**given, "address": {"country": country}} if country else given


def _give(box: Box, session: Record) -> Outcome:
    """Complete an order that costs nothing after its discount: no payment, no PaymentIntent."""
    customer = session.body["customer"]
    if given := _wanted_customer(session):
        customer = new_customer(box, given, _NO_REQUEST).id
    _complete(box, session, customer=customer, payment_status="no_payment_required")
    return Outcome(status="free", session=session.body)


def _may_save(session: JsonObject) -> bool:
    options = session["saved_payment_method_options"]
    return bool(options) and options["payment_method_save"] == "enabled"


def _outcome(box: Box, session: Record, intent: Record, decline: Decline | None) -> Outcome:
    """Bring a session in line with its PaymentIntent after an attempt."""
    box.store.save(intent)
    box.store.save(session)
    charge_id = intent.body["latest_charge"]
    if decline:
        return Outcome(
            status="declined", session=session.body, charge_id=charge_id, decline=decline
        )
    if intent.body["status"] == "requires_action":
        return Outcome(status="requires_action", session=session.body)
    is_paid = intent.body["status"] == "succeeded"
    _complete(
        box,
        session,
        customer=intent.body["customer"],
        payment_status="paid" if is_paid else "unpaid",
    )
    attempts.follow_up(box, intent)
    status: Literal["paid", "processing"] = "paid" if is_paid else "processing"
    return Outcome(status=status, session=session.body, charge_id=charge_id)


def _complete(box: Box, session: Record, *, customer: str | None, payment_status: str) -> None:
    payer, country = session.private["payer"], session.private.get("country")
    details = customer_details(
        email=payer["email"], name=payer["name"], country=country, tax_id=payer["tax_id"]
    )
    changes = {
        "customer": customer,
        "customer_details": details,
        "payment_status": payment_status,
        "status": "complete",
        "url": None,
    }
    box.change(session, changes)
    if discount := session.private.get("discount"):
        redeem(box, promotion_code=discount["promotion_code"], coupon=discount["coupon"])
    _update_customer(box, session)
    if payment_status != "unpaid":
        _invoice(box, session)
    box.emit("checkout.session.completed", session.body, cause=_NO_REQUEST)


def _update_customer(box: Box, session: Record) -> None:
    """Write the country to the customer, where the shop asked for that."""
    country = session.private.get("country")
    if session.private.get("updates", {}).get("address") == "auto" and country:
        customer = get_customer(box, session.body["customer"])
        address = {**(customer.body["address"] or EMPTY_ADDRESS), "country": country}
        if previous := box.change(customer, {"address": address}):
            box.emit("customer.updated", customer.body, cause=_NO_REQUEST, previous=previous)


def _invoice(box: Box, session: Record) -> None:
    if session.body["invoice_creation"]["enabled"]:
        invoice = new_invoice(box, session, _NO_REQUEST)
        box.change(session, {"invoice": invoice.id})


def _save(box: Box, session: Record, payer: Payer) -> Outcome:
    """Save a payment method without paying: `mode=setup`."""
    intent = get_setup_intent(box, session.body["setup_intent"])
    method = new_payment_method(box, payer.instrument, email=payer.email)
    if decline := payer.instrument.refuses_setup():
        return _refuse_setup(box, session, intent, method, decline)
    # Checkout saves cards for off-session use, so it asks whom it may.
    if _asks_at_setup(payer.instrument):
        box.change(intent, {"payment_method": method.id, "status": "requires_action"})
        box.emit("setup_intent.requires_action", intent.body, cause=_NO_REQUEST)
        return Outcome(status="requires_action", session=session.body)
    return _saved(box, session, intent, method)


def _asks_at_setup(instrument: Instrument) -> bool:
    return isinstance(instrument, Card) and instrument.needs_authentication(
        off_session=False, is_set_up=False
    )


def _authenticate_setup(box: Box, session: Record, *, is_passed: bool) -> Outcome:
    intent = get_setup_intent(box, session.body["setup_intent"])
    if intent.body["status"] != "requires_action":
        raise InvalidRequest(f"This SetupIntent has a status of {intent.body['status']}.")
    method = get_payment_method(box, intent.body["payment_method"], param="payment_method")
    if is_passed:
        return _saved(box, session, intent, method)
    return _refuse_setup(box, session, intent, method, attempts.SETUP_NOT_PASSED)


def _refuse_setup(
    box: Box, session: Record, intent: Record, method: Record, decline: Decline
) -> Outcome:
    error = attempts.failure(method, decline, None)
    changes = {
        "last_setup_error": error,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    box.change(intent, changes)
    box.emit("setup_intent.setup_failed", intent.body, cause=_NO_REQUEST)
    return Outcome(status="declined", session=session.body, decline=decline)


def _saved(box: Box, session: Record, intent: Record, method: Record) -> Outcome:
    customer = session.body["customer"]
    if given := _wanted_customer(session):
        customer = new_customer(box, given, _NO_REQUEST).id
    set_up(box, method, customer, _NO_REQUEST)
    changes = {
        "customer": customer,
        "last_setup_error": None,
        "payment_method": method.id,
        "status": "succeeded",
    }
    box.change(intent, changes)
    box.emit("setup_intent.succeeded", intent.body, cause=_NO_REQUEST)
    _complete(box, session, customer=customer, payment_status="no_payment_required")
    return Outcome(status="saved", session=session.body)


def has_challenge(box: Box, session: Record) -> bool:
    """Return whether the bank waits for an answer about this session."""
    intent_id = session.body["payment_intent"] or session.body["setup_intent"]
    if intent_id is None or session.body["status"] != "open":
        return False
    intent = box.store.find(intent_id)
    return intent is not None and intent.body["status"] == "requires_action"
