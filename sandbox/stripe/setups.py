"""A customer saves a payment method without paying: what a session of `mode=setup` does."""

from sandbox.stripe import attempts
from sandbox.stripe.box import Box
from sandbox.stripe.cards import Card, Decline
from sandbox.stripe.completion import NO_REQUEST, Outcome, Payer, complete, wanted_customer
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.resources.customers import new_customer
from sandbox.stripe.resources.payment_methods import (
    Instrument,
    get_payment_method,
    new_payment_method,
    set_up,
)
from sandbox.stripe.resources.setup_intents import get_setup_intent
from sandbox.stripe.store import Record


def save_method(box: Box, session: Record, payer: Payer) -> Outcome:
    """Save a payment method without paying: `mode=setup`."""
    intent = get_setup_intent(box, session.body["setup_intent"])
    method = new_payment_method(box, payer.instrument, email=payer.email)
    if decline := payer.instrument.refuses_setup():
        return _refuse_setup(box, session, intent, method, decline)
    # Checkout saves cards for off-session use, so it asks whom it may.
    if _asks_at_setup(payer.instrument):
        box.change(intent, {"payment_method": method.id, "status": "requires_action"})
        box.emit("setup_intent.requires_action", intent.body, cause=NO_REQUEST)
        return Outcome(status="requires_action", session=session.body)
    return _saved(box, session, intent, method)


def _asks_at_setup(instrument: Instrument) -> bool:
    return isinstance(instrument, Card) and instrument.needs_authentication(
        off_session=False, is_set_up=False
    )


def authenticate_setup(box: Box, session: Record, *, is_passed: bool) -> Outcome:
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
    box.emit("setup_intent.setup_failed", intent.body, cause=NO_REQUEST)
    return Outcome(status="declined", session=session.body, decline=decline)


def _saved(box: Box, session: Record, intent: Record, method: Record) -> Outcome:
    customer = session.body["customer"]
    if given := wanted_customer(session):
        customer = new_customer(box, given, NO_REQUEST).id
    set_up(box, method, customer, NO_REQUEST)
    changes = {
        "customer": customer,
        "last_setup_error": None,
        "payment_method": method.id,
        "status": "succeeded",
    }
    box.change(intent, changes)
    box.emit("setup_intent.succeeded", intent.body, cause=NO_REQUEST)
    complete(box, session, customer=customer, payment_status="no_payment_required")
    return Outcome(status="saved", session=session.body)
