"""The bank's page of 3-D Secure: the customer confirms a payment, or does not."""

from collections.abc import Callable
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import attempts
from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import Decline
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import InvalidParameter, StripeError
from sandbox.stripe.forms import parse
from sandbox.stripe.pages.checkout import decline_page, next_url
from sandbox.stripe.pages.markup import notice, page, render
from sandbox.stripe.payments import authenticate, has_challenge
from sandbox.stripe.resources.payment_intents import get_payment_intent
from sandbox.stripe.store import Record


def challenge_routes(box: Callable[[], Box]) -> list[BaseRoute]:
    """Return the routes; the box exists only once the process runs."""

    async def show(request: Request) -> Response:
        return _show(box(), request.path_params["id"])

    async def answer(request: Request) -> Response:
        return _answer(box(), request.path_params["id"], await request.body())

    async def show_intent(request: Request) -> Response:
        return _show_intent(box(), request.path_params["id"])

    async def answer_intent(request: Request) -> Response:
        return _answer_intent(box(), request.path_params["id"], await request.body())

    return [
        Route("/c/pay/{id}/3ds", show, methods=["GET"]),
        Route("/c/pay/{id}/3ds", answer, methods=["POST"]),
        Route("/3ds/{id}", show_intent, methods=["GET"]),
        Route("/3ds/{id}", answer_intent, methods=["POST"]),
    ]


def _show(box: Box, session_id: str) -> Response:
    session = box.store.find(session_id, "checkout.session")
    if session is None:
        return _nothing(404)
    if not has_challenge(box, session):
        # The page was left open: the session's own page knows what to say.
        return RedirectResponse(f"/c/pay/{session_id}", 303)
    body = session.body
    if body["mode"] == "setup":
        return _ask("Do you want this card to be saved?", f"/c/pay/{session_id}/3ds")
    amount = written(body["amount_total"], body["currency"])
    return _ask(
        f"Do you confirm the payment of {amount} to TokenProxy?", f"/c/pay/{session_id}/3ds"
    )


def _answer(box: Box, session_id: str, body: bytes) -> Response:
    session = box.store.find(session_id, "checkout.session")
    if session is None:
        return _nothing(404)
    try:
        outcome = authenticate(box, session_id, is_passed=_is_passed(body))
    except StripeError:
        return RedirectResponse(f"/c/pay/{session_id}", 303)
    if outcome.decline:
        return decline_page(box, session_id, outcome.decline)
    return RedirectResponse(next_url(outcome), 303)


def _show_intent(box: Box, intent_id: str) -> Response:
    intent = box.store.find(intent_id, "payment_intent")
    if intent is None or intent.body["status"] != "requires_action":
        return _nothing(404)
    return _ask_payment(intent.body["amount"], intent.body["currency"], f"/3ds/{intent_id}")


def _answer_intent(box: Box, intent_id: str, body: bytes) -> Response:
    try:
        with box.store.transaction():
            intent = get_payment_intent(box, intent_id)
            decline = answer_challenge(box, intent, is_passed=_is_passed(body))
    except StripeError as error:
        return notice("Nothing to confirm", error.message, None, error.status)
    status = "failed" if decline else "succeeded"
    return_url = intent.private.get("return_url")
    if return_url is None:
        return notice("Thank you", f"The payment has {status}.", None, 200)
    query = urlencode(
        {
            "payment_intent": intent.id,
            "payment_intent_client_secret": intent.body["client_secret"],
            "redirect_status": status,
        }
    )
    return RedirectResponse(f"{return_url}{'&' if '?' in return_url else '?'}{query}", 303)


def answer_challenge(box: Box, intent: Record, *, is_passed: bool) -> Decline | None:
    """Answer the bank about a PaymentIntent of the API; return why the payment failed."""
    decline = attempts.authenticate(box, intent, is_passed=is_passed, cause=Cause())
    box.store.save(intent)
    attempts.follow_up(box, intent)
    return decline


def _is_passed(body: bytes) -> bool:
    answer = parse(body.decode(errors="replace")).get("answer")
    if answer not in ("pass", "fail"):
        raise InvalidParameter("answer must be pass or fail", param="answer")
    return bool(answer == "pass")


def _ask_payment(amount: int, currency: str, action: str) -> Response:
    text = f"Do you confirm the payment of {written(amount, currency)} to TokenProxy?"
    return _ask(text, action)


def _ask(text: str, action: str) -> Response:
    return page("3-D Secure", render("challenge.html", bank="Your bank", text=text, action=action))


def _nothing(status: int) -> Response:
    return notice("Nothing to confirm", "No payment waits for you here.", None, status)
