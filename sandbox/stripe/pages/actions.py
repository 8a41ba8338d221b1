"""Actions of the control page: a form or JSON comes in, one transaction runs."""

import json
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox.stripe.box import Box
from sandbox.stripe.errors import InvalidParameter, StripeError
from sandbox.stripe.forms import parse
from sandbox.stripe.store import JsonObject

Given = dict[str, Any]
# Takes the id in the path (empty if there is none) and what was given.
Run = Callable[[Box, str, Given], JsonObject]


def action(box: Callable[[], Box], path: str, run: Run, *, names: frozenset[str]) -> Route:
    """Return the route of an action; a name it does not know is refused."""

    async def endpoint(request: Request) -> Response:
        return await _act(box(), request, run, names)

    return Route(path, endpoint, methods=["POST"])


async def _act(box: Box, request: Request, run: Run, names: frozenset[str]) -> Response:
    """Run an action in a transaction; a form goes back to its page, anything else gets JSON."""
    is_form = "form" in request.headers.get("content-type", "")
    try:
        given = _given(await request.body(), is_form=is_form)
        if unknown := given.keys() - names:
            raise InvalidParameter(
                f"Unknown: {', '.join(sorted(unknown))}.", code="parameter_unknown"
            )
        with box.store.transaction():
            result = run(box, request.path_params.get("id", ""), given)
    except StripeError as error:
        return JSONResponse(error.envelope(), error.status)
    return RedirectResponse("/sandbox/", 303) if is_form else JSONResponse(result)


def choice(given: Given, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    """Return one of some words; without a default it must be given."""
    value = given.get(name) or default
    if value not in allowed:
        raise InvalidParameter(f"{name} must be one of {', '.join(allowed)}", param=name)
    return str(value)


def whole_number(given: Given, name: str, *, least: int, most: int) -> int | None:
    """Return an integer, which a form sends as text; None if it is not there or empty."""
    value = given.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        value = int(value)
    if type(value) is not int or not least <= value <= most:
        raise InvalidParameter(f"{name} must be an integer from {least} to {most}", param=name)
    return value


def flag(given: Given, name: str) -> bool:
    """Return a boolean, which a form sends as the word; False if it is not there."""
    value = given.get(name, False)
    if value not in (True, False, "true", "false", ""):
        raise InvalidParameter(f"{name} must be true or false", param=name)
    return value in (True, "true")


def _given(body: bytes, *, is_form: bool) -> Given:
    if is_form:
        return parse(body.decode(errors="replace"))
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidParameter("The body must be JSON.") from error
    if not isinstance(given, dict):
        raise InvalidParameter("The body must be a JSON object.")
    return given
