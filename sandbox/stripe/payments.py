"""A customer pays, or tries to, on the Checkout page: everything it changes, in one transaction."""

from dataclasses import dataclass
from typing import Literal

from sandbox.stripe import attempts
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import Card, Decline
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.resources.checkout_sessions import (
    customer_details,
    expire_session,
    get_session,
)
from sandbox.stripe.resources.customers import check_email, new_customer
from sandbox.stripe.resources.payment_intents import get_payment_intent, new_payment_intent
from sandbox.stripe.resources.payment_methods import (
    Instrument,
    get_payment_method,
    new_payment_method,
    set_up,
)
from sandbox.stripe.resources.setup_intents import get_setup_intent
from sandbox.stripe.store import JsonObject, Record

# What a person did has no API request behind it.
_NO_REQUEST = Cause()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: Literal["paid", "processing", "saved", "requires_action", "declined"]
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
            if session.body["mode"] == "setup":
                return _save(box, session, payer)
            return _attempt(box, session, payer)
    raise SessionClosed(f"This Checkout Session is {status} and can't be paid.", param="session")


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
    _note_payer(session, intent, payer)
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


def _note_payer(session: Record, intent: Record, payer: Payer) -> None:
    """Remember who pays for when it succeeds, which may be days later."""
    name = payer.instrument.name
    session.private["payer"] = {"email": payer.email, "name": name}
    if session.body["customer_creation"] == "always":
        intent.private["new_customer"] = {"email": payer.email, "name": name or ""}
    if payer.is_saving and _may_save(session.body):
        intent.body["setup_future_usage"] = "off_session"


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
    payer = session.private["payer"]
    changes = {
        "customer": customer,
        "customer_details": customer_details(email=payer["email"], name=payer["name"]),
        "payment_status": payment_status,
        "status": "complete",
        "url": None,
    }
    box.change(session, changes)
    box.emit("checkout.session.completed", session.body, cause=_NO_REQUEST)


def _save(box: Box, session: Record, payer: Payer) -> Outcome:
    """Save a payment method without paying: `mode=setup`."""
    intent = get_setup_intent(box, session.body["setup_intent"])
    session.private["payer"] = {"email": payer.email, "name": payer.instrument.name}
    box.store.save(session)
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
    if session.body["customer_creation"] == "always":
        payer = session.private["payer"]
        given = {"email": payer["email"], "name": payer["name"] or ""}
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
