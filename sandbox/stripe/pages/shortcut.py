"""Paying without the page, for tests: one POST does what a customer does, and answers JSON."""

import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import cards
from sandbox.stripe.box import Box
from sandbox.stripe.completion import Outcome, Payer
from sandbox.stripe.errors import CardDeclined, InvalidParameter, StripeError
from sandbox.stripe.pages.checkout import PREFILLED, chosen_instrument, known_email, next_url
from sandbox.stripe.payments import authenticate, change_order, pay
from sandbox.stripe.resources.checkout_sessions import get_session

# Who pays through the shortcut when neither the session nor the test says.
_SOMEONE = "customer@example.com"


def shortcut_routes(box: Callable[[], Box]) -> list[BaseRoute]:
    """Return the routes; the box exists only once the process runs."""

    async def shortcut(request: Request) -> Response:
        return _shortcut(box(), request.path_params["id"], await request.body())

    return [Route("/sandbox/checkout/{id}/pay", shortcut, methods=["POST"])]


def _shortcut(box: Box, session_id: str, body: bytes) -> Response:
    """Pay as the page would, and answer the bank; return the outcome as JSON."""
    try:
        given = _json_object(body)
        session = get_session(box, session_id)
        typed = PREFILLED | {"number": given.get("card", cards.PAYS)}
        email = given.get("email") or known_email(session) or _SOMEONE
        payer = Payer(
            instrument=chosen_instrument(box, typed, _choice(given, "method", ("card", "bank"))),
            email=email,
            is_saving=_choice(given, "save", ("no", "yes")) == "yes",
            tax_id=given.get("tax_id", ""),
        )
        if given.keys() & {"country", "promotion_code"}:
            change_order(
                box, session_id, code=given.get("promotion_code"), country=given.get("country")
            )
        answer = _choice(given, "authentication", ("none", "pass", "fail"))
        outcome = pay(box, session_id, payer)
        if outcome.status == "requires_action" and answer != "none":
            outcome = authenticate(box, session_id, is_passed=answer == "pass")
    except StripeError as error:
        return JSONResponse(error.envelope(), error.status)
    return outcome_json(outcome)


def outcome_json(outcome: Outcome) -> Response:
    if outcome.decline:
        declined = CardDeclined(
            outcome.decline.message,
            code=outcome.decline.code,
            decline_code=outcome.decline.decline_code,
            charge=outcome.charge_id,
        )
        return JSONResponse(declined.envelope(), declined.status)
    return JSONResponse(
        {
            "outcome": outcome.status,
            "redirect_url": next_url(outcome),
            "session": outcome.session,
        }
    )


def _choice(given: dict[str, str], name: str, allowed: tuple[str, ...]) -> str:
    """Return one of some words; the first unless told otherwise."""
    value = given.get(name, allowed[0])
    if value not in allowed:
        raise InvalidParameter(f"{name} must be one of {', '.join(allowed)}.", param=name)
    return value


_SHORTCUT = frozenset(
    {"card", "email", "method", "save", "authentication", "country", "promotion_code", "tax_id"}
)


def _json_object(body: bytes) -> dict[str, str]:
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidParameter("The body must be JSON.") from error
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise InvalidParameter("The body must be a JSON object of strings.")
    if unknown := given.keys() - _SHORTCUT:
        raise InvalidParameter(f"Unknown: {', '.join(sorted(unknown))}.", code="parameter_unknown")
    return given
