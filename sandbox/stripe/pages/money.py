"""What happens to a payment afterwards: the part of the control page that plays the bank."""

from collections.abc import Callable
from typing import cast

from starlette.routing import BaseRoute

from sandbox.stripe import payments
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import is_card_number
from sandbox.stripe.currencies import MAXIMUM, written
from sandbox.stripe.errors import InvalidParameter, InvalidRequest
from sandbox.stripe.pages.actions import Given, Run, action, choice, flag, whole_number
from sandbox.stripe.pages.challenge import answer_challenge
from sandbox.stripe.pages.markup import Markup, join, render
from sandbox.stripe.resources import disputes, early_fraud_warnings, refunds
from sandbox.stripe.resources.payment_intents import get_payment_intent
from sandbox.stripe.resources.payment_methods import change_number, get_payment_method
from sandbox.stripe.store import JsonObject, Record

# A person at the bank or in Stripe's dashboard: no API request is behind it.
_NO_REQUEST = Cause()
_OUTCOMES = ("succeed", "fail")
_REFUND_REASONS = ("requested_by_customer", "duplicate", "fraudulent")


def money_routes(box: Callable[[], Box]) -> list[BaseRoute]:
    """Return the routes; the box exists only once the process runs."""

    def route(path: str, run: Run, *names: str) -> BaseRoute:
        return action(box, path, run, names=frozenset(names))

    return [
        route("/sandbox/charges/{id}/refund", _refund, "amount", "reason"),
        route("/sandbox/charges/{id}/dispute", _dispute, "amount", "reason", "inquiry"),
        route("/sandbox/charges/{id}/warn", _warn, "fraud_type"),
        route("/sandbox/refunds", _set_refund_mode, "mode"),
        route("/sandbox/refunds/{id}/succeed", _succeed_refund),
        route("/sandbox/refunds/{id}/fail", _fail_refund, "reason"),
        route("/sandbox/disputes/{id}/escalate", _escalate),
        route("/sandbox/disputes/{id}/submit", _submit),
        route("/sandbox/disputes/{id}/win", _win),
        route("/sandbox/disputes/{id}/lose", _lose),
        route("/sandbox/payment_intents/{id}/succeed", _succeed_intent),
        route("/sandbox/payment_intents/{id}/fail", _fail_intent),
        route("/sandbox/payment_intents/{id}/authenticate", _authenticate, "passed"),
        route("/sandbox/payment_methods/{id}/card", _change_card, "card"),
    ]


def money_state(box: Box, limit: int) -> JsonObject:
    """Return the newest of what this module changes, for `/sandbox/state`."""
    return {
        "charges": [record.body for record in box.store.select("charge", limit=limit)],
        "disputes": [record.body for record in box.store.select("dispute", limit=limit)],
        "refunds": [record.body for record in box.store.select("refund", limit=limit)],
    }


def _refund(box: Box, charge_id: str, given: Given) -> JsonObject:
    reason = given.get("reason") and choice(given, "reason", _REFUND_REASONS)
    return refunds.new_refund(
        box,
        _charge(box, charge_id),
        amount=_amount(given),
        reason=reason or None,
        metadata=None,
        cause=_NO_REQUEST,
    ).body


def _dispute(box: Box, charge_id: str, given: Given) -> JsonObject:
    reason = choice(given, "reason", disputes.REASONS, "fraudulent")
    return disputes.open_dispute(
        box,
        _charge(box, charge_id),
        amount=_amount(given),
        reason=cast(disputes.Reason, reason),
        is_inquiry=flag(given, "inquiry"),
        cause=_NO_REQUEST,
    ).body


def _warn(box: Box, charge_id: str, given: Given) -> JsonObject:
    fraud_type = choice(given, "fraud_type", early_fraud_warnings.FRAUD_TYPES, "misc")
    return early_fraud_warnings.warn(
        box,
        _charge(box, charge_id),
        fraud_type=cast(early_fraud_warnings.FraudType, fraud_type),
        cause=_NO_REQUEST,
    ).body


def _set_refund_mode(box: Box, _: str, given: Given) -> JsonObject:
    mode = choice(given, "mode", refunds.MODES)
    refunds.set_mode(box, cast(refunds.Mode, mode))
    return {"mode": mode}


def _succeed_refund(box: Box, refund_id: str, _: Given) -> JsonObject:
    refund = refunds.get_refund(box, refund_id)
    refunds.succeed(box, refund, _NO_REQUEST)
    return refund.body


def _fail_refund(box: Box, refund_id: str, given: Given) -> JsonObject:
    reason = choice(given, "reason", refunds.FAILURE_REASONS, "expired_or_canceled_card")
    refund = refunds.get_refund(box, refund_id)
    refunds.fail(box, refund, reason=cast(refunds.FailureReason, reason), cause=_NO_REQUEST)
    return refund.body


def _escalate(box: Box, dispute_id: str, _: Given) -> JsonObject:
    dispute = disputes.get_dispute(box, dispute_id)
    disputes.escalate(box, dispute, _NO_REQUEST)
    return dispute.body


def _submit(box: Box, dispute_id: str, _: Given) -> JsonObject:
    dispute = disputes.get_dispute(box, dispute_id)
    disputes.submit(box, dispute, _NO_REQUEST)
    return dispute.body


def _win(box: Box, dispute_id: str, _: Given) -> JsonObject:
    return _decide(box, dispute_id, is_won=True)


def _lose(box: Box, dispute_id: str, _: Given) -> JsonObject:
    return _decide(box, dispute_id, is_won=False)


def _decide(box: Box, dispute_id: str, *, is_won: bool) -> JsonObject:
    dispute = disputes.get_dispute(box, dispute_id)
    disputes.decide(box, dispute, is_won=is_won, cause=_NO_REQUEST)
    return dispute.body


def _succeed_intent(box: Box, intent_id: str, _: Given) -> JsonObject:
    return _settle(box, intent_id, is_paid=True)


def _fail_intent(box: Box, intent_id: str, _: Given) -> JsonObject:
    return _settle(box, intent_id, is_paid=False)


def _settle(box: Box, intent_id: str, *, is_paid: bool) -> JsonObject:
    intent = get_payment_intent(box, intent_id)
    payments.settle(box, intent, is_paid=is_paid)
    return intent.body


def _authenticate(box: Box, intent_id: str, given: Given) -> JsonObject:
    """Answer the bank about a PaymentIntent of the API; Checkout has a page and a shortcut."""
    intent = get_payment_intent(box, intent_id)
    if intent.private.get("session"):
        raise InvalidRequest("This PaymentIntent is Checkout's: answer on its page.")
    answer_challenge(box, intent, is_passed=flag(given, "passed"))
    return intent.body


def _change_card(box: Box, method_id: str, given: Given) -> JsonObject:
    number = str(given.get("card", ""))
    if not is_card_number(number):
        raise InvalidParameter("card must be a card number", param="card")
    method = get_payment_method(box, method_id, param="payment_method")
    change_number(box, method, number)
    return method.body


def _charge(box: Box, charge_id: str) -> Record:
    return box.get("charge", charge_id, param="charge")


def _amount(given: Given) -> int | None:
    return whole_number(given, "amount", least=1, most=MAXIMUM)


def charge_rows(box: Box, limit: int) -> list[Markup]:
    return [_charge_row(record.body) for record in box.store.select("charge", limit=limit)]


def refund_rows(box: Box, limit: int) -> list[Markup]:
    return [_refund_row(record.body) for record in box.store.select("refund", limit=limit)]


def dispute_rows(box: Box, limit: int) -> list[Markup]:
    return [_dispute_row(record.body) for record in box.store.select("dispute", limit=limit)]


def _charge_row(charge: JsonObject) -> Markup:
    forms = Markup()
    if charge["paid"]:
        forms = render("_charge_forms.html", id=charge["id"])
    elif charge["status"] == "pending":
        forms = _buttons(f"/sandbox/payment_intents/{charge['payment_intent']}", _OUTCOMES)
    return render(
        "_charge_row.html",
        id=charge["id"],
        short=_short(charge["id"]),
        amount=written(charge["amount"], charge["currency"]),
        refunded=written(charge["amount_refunded"], charge["currency"]),
        status=charge["status"],
        disputed="disputed" if charge["disputed"] else "",
        forms=forms,
    )


def _refund_row(refund: JsonObject) -> Markup:
    verbs = {"pending": _OUTCOMES, "succeeded": ("fail",)}.get(refund["status"], ())
    return _row(refund, "refunds", verbs)


def _dispute_row(dispute: JsonObject) -> Markup:
    verbs: tuple[str, ...] = ()
    if disputes.is_open(dispute):
        is_inquiry = dispute["status"].startswith("warning_")
        is_unanswered = dispute["status"].endswith("needs_response")
        verbs = (
            *(("submit",) if is_unanswered else ()),
            *(("escalate",) if is_inquiry else ()),
            "win",
            "lose",
        )
    return _row(dispute, "disputes", verbs)


def _row(body: JsonObject, folder: str, verbs: tuple[str, ...]) -> Markup:
    return render(
        "_money_row.html",
        id=body["id"],
        short=_short(body["id"]),
        charge=_short(body["charge"]),
        charge_id=body["charge"],
        amount=written(body["amount"], body["currency"]),
        status=body["status"],
        reason=body["reason"] or "",
        buttons=_buttons(f"/sandbox/{folder}/{body['id']}", verbs),
    )


def _buttons(url: str, verbs: tuple[str, ...]) -> Markup:
    return join(
        [render("_button.html", action=f"{url}/{verb}", label=verb.capitalize()) for verb in verbs]
    )


def _short(object_id: str) -> str:
    return f"{object_id[:12]}…"
