"""A customer pays, or tries to, on the Checkout page: everything it changes, in one transaction."""

from typing import Literal

from sandbox.stripe import attempts
from sandbox.stripe.box import Box
from sandbox.stripe.cards import Decline
from sandbox.stripe.completion import (
    NO_REQUEST,
    Outcome,
    Payer,
    add_invoice,
    complete,
    wanted_customer,
)
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.resources.checkout_sessions import expire_session, get_session
from sandbox.stripe.resources.customers import check_email, new_customer
from sandbox.stripe.resources.payment_intents import get_payment_intent, new_payment_intent
from sandbox.stripe.resources.payment_methods import new_payment_method
from sandbox.stripe.setups import authenticate_setup, save_method
from sandbox.stripe.store import JsonObject, Record
from sandbox.stripe.tax_ids import read_tax_id
from sandbox.stripe.totals import apply_code, check_discount, remove_code, set_country


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
            check_discount(box, session)
            _note_payer(box, session, payer)
            if session.body["mode"] == "setup":
                return save_method(box, session, payer)
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
            return authenticate_setup(box, session, is_passed=is_passed)
        if session.body["payment_intent"] is None:
            raise InvalidRequest("Nobody tried to pay this Checkout Session yet.")
        intent = get_payment_intent(box, session.body["payment_intent"])
        decline = attempts.authenticate(box, intent, is_passed=is_passed, cause=NO_REQUEST)
        return _outcome(box, session, intent, decline)


def settle(box: Box, intent: Record, *, is_paid: bool) -> None:
    """End a payment that was processing, and tell of its session if it has one."""
    attempts.settle(box, intent, is_paid=is_paid, cause=NO_REQUEST)
    session_id = intent.private.get("session")
    if session_id is None:
        attempts.follow_up(box, intent)
        return
    session = get_session(box, session_id)
    if is_paid:
        box.change(session, {"payment_status": "paid"})
        add_invoice(box, session)
    event = "async_payment_succeeded" if is_paid else "async_payment_failed"
    box.emit(f"checkout.session.{event}", session.body, cause=NO_REQUEST)
    attempts.follow_up(box, intent)


def redirect_url(session: JsonObject) -> str:
    """Return where the customer goes after paying."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _close_if_overdue(box: Box, session: Record) -> None:
    if session.body["status"] == "open" and session.body["expires_at"] <= box.clock.now():
        expire_session(box, session, NO_REQUEST)


def _attempt(box: Box, session: Record, payer: Payer) -> Outcome:
    intent = _intent(box, session)
    if given := wanted_customer(session):
        intent.private["new_customer"] = given
    if payer.is_saving and _may_save(session.body):
        intent.body["setup_future_usage"] = "off_session"
    method = new_payment_method(box, payer.instrument, email=payer.email)
    decline = attempts.attempt(box, intent, method, off_session=False, cause=NO_REQUEST)
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
        cause=NO_REQUEST,
    )
    box.change(session, {"payment_intent": intent.id})
    return intent


def _note_payer(box: Box, session: Record, payer: Payer) -> None:
    """Remember who pays for when it succeeds, which may be days later."""
    if session.body["automatic_tax"]["enabled"] and not session.private.get("country"):
        raise InvalidRequest("Please choose your country.", param="country")
    tax_id = None
    if session.private.get("asks_tax_id"):
        tax_id = read_tax_id(payer.tax_id, session.private.get("country"))
        # What was typed last time is filled in.
        tax_id = tax_id or session.private.get("known_tax_id")
    session.private["payer"] = {
        "email": payer.email,
        "name": payer.instrument.name,
        "tax_id": tax_id,
    }
    box.store.save(session)


def _give(box: Box, session: Record) -> Outcome:
    """Complete an order that costs nothing after its discount: no payment, no PaymentIntent."""
    customer = session.body["customer"]
    if given := wanted_customer(session):
        customer = new_customer(box, given, NO_REQUEST).id
    complete(box, session, customer=customer, payment_status="no_payment_required")
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
    complete(
        box,
        session,
        customer=intent.body["customer"],
        payment_status="paid" if is_paid else "unpaid",
    )
    attempts.follow_up(box, intent)
    status: Literal["paid", "processing"] = "paid" if is_paid else "processing"
    return Outcome(status=status, session=session.body, charge_id=charge_id)


def has_challenge(box: Box, session: Record) -> bool:
    """Return whether the bank waits for an answer about this session."""
    intent_id = session.body["payment_intent"] or session.body["setup_intent"]
    if intent_id is None or session.body["status"] != "open":
        return False
    intent = box.store.find(intent_id)
    return intent is not None and intent.body["status"] == "requires_action"
