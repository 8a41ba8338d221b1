"""The hosted Checkout page, its shortcut for tests, and receipts."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import cards
from sandbox.stripe.box import Box
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import CardDeclined, InvalidParameter, StripeError
from sandbox.stripe.forms import Params, parse
from sandbox.stripe.pages.markup import Markup, join, page, render, stylesheet
from sandbox.stripe.payments import SessionClosed, pay, redirect_url
from sandbox.stripe.resources.checkout_sessions import get_session
from sandbox.stripe.store import Condition, JsonObject, Record

_PREFILLED = {
    "number": "4242 4242 4242 4242",
    "expiry": "12 / 34",
    "cvc": "123",
    "name": "Test Customer",
}
_FIELDS = ("email", *_PREFILLED)
# Who pays through the shortcut when neither the session nor the test says.
_SOMEONE = "customer@example.com"


def checkout_routes(box: Callable[[], Box]) -> list[BaseRoute]:
    """Return the routes; the box exists only once the process runs."""

    async def show(request: Request) -> Response:
        return _show(box(), request.path_params["id"])

    async def submit(request: Request) -> Response:
        form = parse((await request.body()).decode(errors="replace"))
        return _submit(box(), request.path_params["id"], form)

    async def shortcut(request: Request) -> Response:
        return _shortcut(box(), request.path_params["id"], await request.body())

    async def receipt(request: Request) -> Response:
        return _receipt(box(), request.path_params["id"])

    async def style(_: Request) -> Response:
        return Response(stylesheet(), media_type="text/css")

    return [
        Route("/c/pay/{id}", show, methods=["GET"]),
        Route("/c/pay/{id}", submit, methods=["POST"]),
        Route("/sandbox/checkout/{id}/pay", shortcut, methods=["POST"]),
        Route("/receipts/{id}", receipt, methods=["GET"]),
        Route("/sandbox/style.css", style, methods=["GET"]),
    ]


def _show(box: Box, session_id: str) -> Response:
    session = box.store.find(session_id, "checkout.session")
    if session is None:
        return _notice("Nothing to pay here", "There is no such Checkout Session.", None, 404)
    body = session.body
    if body["status"] == "open" and body["expires_at"] > box.clock.now():
        return _form(box, session, _PREFILLED | {"email": _known_email(session) or ""}, None, 200)
    return _closed(session, 200)


def _submit(box: Box, session_id: str, form: Params) -> Response:
    session = box.store.find(session_id, "checkout.session")
    if session is None:
        return _notice("Nothing to pay here", "There is no such Checkout Session.", None, 404)
    typed = {name: str(form.get(name, "")) for name in _FIELDS}
    email = _known_email(session) or typed["email"].strip()
    number = cards.DECLINES if form.get("action") == "decline" else typed["number"]
    try:
        if not email:
            raise InvalidParameter("Please enter your e-mail address.")
        card = _read(box, typed | {"number": number})
        outcome = pay(box, session_id, card=card, email=email)
    except SessionClosed:
        return _closed(get_session(box, session_id), 409)
    except StripeError as error:
        return _form(box, session, typed | {"email": email}, error.message, 400)
    if outcome.decline:
        message = f"{outcome.decline.message} Nothing was charged; you can try another card."
        return _form(box, session, typed | {"email": email}, message, 402)
    # 303: the browser follows with GET, whatever it did before.
    return RedirectResponse(redirect_url(outcome.session), 303)


def _shortcut(box: Box, session_id: str, body: bytes) -> Response:
    """Pay as the page would: {"card": number, "email"?: address} → the outcome as JSON."""
    try:
        given = _json_object(body, allowed={"card", "email"})
        session = get_session(box, session_id)
        card = _read(box, _PREFILLED | {"number": given.get("card", cards.PAYS)})
        email = given.get("email") or _known_email(session) or _SOMEONE
        outcome = pay(box, session_id, card=card, email=email)
    except StripeError as error:
        return JSONResponse(error.envelope(), error.status)
    if outcome.decline:
        declined = CardDeclined(
            outcome.decline.message,
            code=outcome.decline.code,
            decline_code=outcome.decline.decline_code,
            charge=outcome.charge["id"],
        )
        return JSONResponse(declined.envelope(), declined.status)
    return JSONResponse(
        {
            "outcome": outcome.status,
            "redirect_url": redirect_url(outcome.session),
            "session": outcome.session,
        }
    )


def _receipt(box: Box, charge_id: str) -> Response:
    record = box.store.find(charge_id, "charge")
    if record is None or not record.body["paid"]:
        return _notice("No receipt", "There is no such payment.", None, 404)
    charge = record.body
    card = charge["payment_method_details"]["card"]
    content = render(
        "receipt.html",
        amount=written(charge["amount"], charge["currency"]),
        charge_id=charge["id"],
        email=charge["billing_details"]["email"],
        items=_items_of_intent(box, charge["payment_intent"]),
        method=f"{card['brand'].title()} ···· {card['last4']}",
        paid_at=f"{datetime.fromtimestamp(charge['created'], UTC):%Y-%m-%d %H:%M} UTC",
        refunded=_refunded(charge),
    )
    return page("Receipt", content)


def _refunded(charge: JsonObject) -> Markup:
    if not charge["amount_refunded"]:
        return Markup()
    amount = written(charge["amount_refunded"], charge["currency"])
    return Markup(f'<div class="row"><dt>Refunded</dt><dd>{amount}</dd></div>')


def _items_of_intent(box: Box, intent_id: str) -> Markup:
    condition = Condition(path="$.payment_intent", value=intent_id)
    sessions = box.store.select("checkout.session", (condition,), limit=1)
    return join([_items(box, session) for session in sessions])


def _form(
    box: Box, session: Record, values: dict[str, str], error: str | None, status: int
) -> Response:
    body = session.body
    cancel = ""
    if body["cancel_url"]:
        cancel = render("_cancel.html", url=body["cancel_url"])
    content = render(
        "checkout.html",
        cancel=cancel,
        email_lock="readonly" if _known_email(session) else "",
        items=_items(box, session),
        message=render("_error.html", text=error) if error else "",
        session_id=session.id,
        total=written(body["amount_total"], body["currency"]),
        **values,
    )
    return page("Checkout", content, status=status)


def _items(box: Box, session: Record) -> Markup:
    return join([_item(box, item) for item in session.private["line_items"]])


def _item(box: Box, item: JsonObject) -> Markup:
    each = written(item["price"]["unit_amount"], item["currency"])
    product = box.get("product", item["price"]["product"], param="product").body
    details = [product["description"], f"{item['quantity']} x {each}"]
    return render(
        "_item.html",
        name=item["description"],
        detail=" · ".join(detail for detail in details if detail),
        amount=written(item["amount_total"], item["currency"]),
    )


def _closed(session: Record, status: int) -> Response:
    body = session.body
    if body["status"] == "complete":
        text = "This order has been paid. You were not charged again."
        return _notice("Already paid", text, redirect_url(body), status)
    text = "The time to pay this order is over. Nothing was charged; please start again."
    return _notice("This page has expired", text, body["cancel_url"], status)


def _notice(heading: str, text: str, link: str | None, status: int) -> Response:
    back = render("_back.html", url=link) if link else ""
    return page(
        heading, render("notice.html", heading=heading, text=text, link=back), status=status
    )


def _known_email(session: Record) -> str | None:
    """Return the address the shop gave; the customer can't change that one."""
    details = session.body["customer_details"]
    if session.body["customer_email"] or session.body["customer"]:
        return str(details["email"]) if details else None
    return None


def _read(box: Box, typed: dict[str, str]) -> cards.Card:
    return cards.read_card(
        number=typed["number"],
        expiry=typed["expiry"],
        cvc=typed["cvc"],
        name=typed["name"].strip() or None,
        now=box.clock.now(),
    )


def _json_object(body: bytes, *, allowed: set[str]) -> dict[str, str]:
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidParameter("The body must be JSON.") from error
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise InvalidParameter("The body must be a JSON object of strings.")
    if unknown := given.keys() - allowed:
        raise InvalidParameter(f"Unknown: {', '.join(sorted(unknown))}.", code="parameter_unknown")
    return given
