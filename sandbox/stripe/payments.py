"""A customer pays, or tries to, on the Checkout page: everything it changes, in one transaction."""

from dataclasses import dataclass
from typing import Literal

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import DISPUTES, WARNS, Card, Decline
from sandbox.stripe.errors import InvalidRequest
from sandbox.stripe.resources.balance import charge_fee, new_balance_transaction
from sandbox.stripe.resources.charges import new_charge
from sandbox.stripe.resources.checkout_sessions import (
    customer_details,
    expire_session,
    get_session,
)
from sandbox.stripe.resources.customers import check_email, new_customer
from sandbox.stripe.resources.disputes import open_dispute
from sandbox.stripe.resources.early_fraud_warnings import warn
from sandbox.stripe.resources.payment_intents import new_payment_intent
from sandbox.stripe.resources.shared import billing_details
from sandbox.stripe.store import JsonObject, Record

# What a person did has no API request behind it.
_NO_REQUEST = Cause()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: Literal["paid", "declined"]
    session: JsonObject
    charge: JsonObject
    decline: Decline | None = None


class SessionClosed(InvalidRequest):
    """The session is paid, or its time is over."""

    status = 409


def pay(box: Box, session_id: str, *, card: Card, email: str) -> Outcome:
    """Try to pay an open session. A decline is an outcome, and leaves the session open.

    Raises SessionClosed; then nothing was charged.
    """
    with box.store.transaction():
        session = get_session(box, session_id)
        _close_if_overdue(box, session)
        status = session.body["status"]
        if status == "open":
            check_email(email, "email")
            return _attempt(box, session, card=card, email=email)
    raise SessionClosed(f"This Checkout Session is {status} and can't be paid.", param="session")


def redirect_url(session: JsonObject) -> str:
    """Return where the customer goes after paying."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _close_if_overdue(box: Box, session: Record) -> None:
    if session.body["status"] == "open" and session.body["expires_at"] <= box.clock.now():
        expire_session(box, session, _NO_REQUEST)


def _attempt(box: Box, session: Record, *, card: Card, email: str) -> Outcome:
    intent = _intent(box, session)
    method = _payment_method(box, card, email=email)
    decline = card.decline()
    charge = new_charge(
        box, intent=intent, payment_method=method["id"], card=card, email=email, decline=decline
    )
    intent.body["latest_charge"] = charge.id
    if decline:
        _fail(box, intent, charge, method, decline)
        return Outcome(status="declined", session=session.body, charge=charge.body, decline=decline)
    _succeed(box, session, intent, charge, card=card, email=email)
    return Outcome(status="paid", session=session.body, charge=charge.body)


def _intent(box: Box, session: Record) -> Record:
    """Return the session's PaymentIntent, made at its first attempt and used for every other."""
    if intent_id := session.body["payment_intent"]:
        return box.get("payment_intent", intent_id, param="intent")
    intent = new_payment_intent(box, session, _NO_REQUEST)
    session.body["payment_intent"] = intent.id
    box.store.save(session)
    return intent


def _payment_method(box: Box, card: Card, *, email: str) -> JsonObject:
    body = {
        **box.stamp("payment_method"),
        "allow_redisplay": "limited",
        "billing_details": billing_details(email=email, name=card.name),
        "card": {
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
        },
        # Checkout saves a card with a customer only when asked to, which is not emulated.
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": "card",
    }
    return box.store.insert(body).body


def _fail(box: Box, intent: Record, charge: Record, method: JsonObject, decline: Decline) -> None:
    error = {
        "advice_code": "try_again_later",
        "charge": charge.id,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": method,
        "type": "card_error",
    }
    intent.body |= {"last_payment_error": error, "status": "requires_payment_method"}
    box.store.save(intent)
    box.emit("charge.failed", charge.body, cause=_NO_REQUEST)
    box.emit("payment_intent.payment_failed", intent.body, cause=_NO_REQUEST)


def _succeed(
    box: Box, session: Record, intent: Record, charge: Record, *, card: Card, email: str
) -> None:
    customer_id = session.body["customer"]
    if session.body["customer_creation"] == "always":
        given = {"email": email, "name": card.name or ""}
        customer_id = new_customer(box, given, _NO_REQUEST).id
    amount = charge.body["amount"]
    booked = new_balance_transaction(
        box,
        source=charge.body,
        kind="charge",
        amount=amount,
        fee=charge_fee(amount),
        description=charge.body["description"],
    )
    charge.body |= {"balance_transaction": booked.id, "customer": customer_id}
    intent.body |= {
        "amount_received": amount,
        "customer": customer_id,
        "last_payment_error": None,
        "payment_method": charge.body["payment_method"],
        "status": "succeeded",
    }
    session.body |= {
        "customer": customer_id,
        "customer_details": customer_details(email=email, name=card.name),
        "payment_status": "paid",
        "status": "complete",
        "url": None,
    }
    for record in (charge, intent, session):
        box.store.save(record)
    box.emit("charge.succeeded", charge.body, cause=_NO_REQUEST)
    box.emit("payment_intent.succeeded", intent.body, cause=_NO_REQUEST)
    box.emit("checkout.session.completed", session.body, cause=_NO_REQUEST)
    _follow_up(box, charge, card)


def _follow_up(box: Box, charge: Record, card: Card) -> None:
    """Do what Stripe's test cards stand for once they have paid."""
    if card.number == WARNS:
        warn(box, charge, fraud_type="misc", cause=_NO_REQUEST)
    if card.number in DISPUTES:
        open_dispute(
            box,
            charge,
            amount=None,
            reason=DISPUTES[card.number].reason,
            is_inquiry=DISPUTES[card.number].is_inquiry,
            cause=_NO_REQUEST,
        )
