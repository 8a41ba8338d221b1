"""The hosted Checkout page, and its shortcut for tests."""

import json
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import bank_accounts, cards
from sandbox.stripe.bank_accounts import BankAccount
from sandbox.stripe.box import Box
from sandbox.stripe.currencies import written
from sandbox.stripe.errors import CardDeclined, InvalidParameter, StripeError
from sandbox.stripe.forms import Params, parse
from sandbox.stripe.pages.markup import Markup, join, notice, page, render, stylesheet
from sandbox.stripe.pages.receipts import breakdown, item_rows
from sandbox.stripe.payments import (
    Outcome,
    Payer,
    SessionClosed,
    authenticate,
    change_order,
    pay,
    redirect_url,
)
from sandbox.stripe.resources.checkout_sessions import get_session
from sandbox.stripe.resources.payment_methods import Instrument
from sandbox.stripe.store import JsonObject, Record
from sandbox.stripe.totals import COUNTRIES

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

    async def style(_: Request) -> Response:
        return Response(stylesheet(), media_type="text/css")

    return [
        Route("/c/pay/{id}", show, methods=["GET"]),
        Route("/c/pay/{id}", submit, methods=["POST"]),
        Route("/sandbox/checkout/{id}/pay", shortcut, methods=["POST"]),
        Route("/sandbox/style.css", style, methods=["GET"]),
    ]


def _show(box: Box, session_id: str) -> Response:
    session = box.store.find(session_id, "checkout.session")
    if session is None:
        return notice("Nothing to pay here", "There is no such Checkout Session.", None, 404)
    body = session.body
    if body["status"] == "open" and body["expires_at"] > box.clock.now():
        return _form(box, session, _PREFILLED | {"email": _known_email(session) or ""}, None, 200)
    return _closed(session, 200)


def _submit(box: Box, session_id: str, form: Params) -> Response:
    session = box.store.find(session_id, "checkout.session")
    if session is None:
        return notice("Nothing to pay here", "There is no such Checkout Session.", None, 404)
    typed = {name: str(form.get(name, "")) for name in _FIELDS}
    email = _known_email(session) or typed["email"].strip()
    action = str(form.get("action", "pay"))
    try:
        if notice_text := _change(box, session, form, action):
            changed = get_session(box, session_id)
            return _form(box, changed, typed | {"email": email}, notice_text, 200)
        if not email:
            raise InvalidParameter("Please enter your e-mail address.")
        payer = Payer(
            instrument=_chosen(box, typed, action),
            email=email,
            is_saving=form.get("save") == "on",
            tax_id=str(form.get("tax_id", "")),
        )
        outcome = pay(box, session_id, payer)
    except SessionClosed:
        return _closed(get_session(box, session_id), 409)
    except StripeError as error:
        session = get_session(box, session_id)
        return _form(box, session, typed | {"email": email}, error.message, 400)
    if outcome.decline:
        message = f"{outcome.decline.message} Nothing was charged; you can try another card."
        return _form(box, session, typed | {"email": email}, message, 402)
    # 303: the browser follows with GET, whatever it did before.
    return RedirectResponse(next_url(outcome), 303)


def decline_page(box: Box, session_id: str, decline: cards.Decline) -> Response:
    """Return the form again after the bank said no."""
    session = get_session(box, session_id)
    message = f"{decline.message} Nothing was charged; you can try another card."
    email = _known_email(session) or session.private["payer"]["email"]
    return _form(box, session, _PREFILLED | {"email": email}, message, 402)


def _chosen(box: Box, typed: dict[str, str], action: str) -> Instrument:
    """Return what a button of the form pays with."""
    if action == "bank":
        return BankAccount(number=bank_accounts.PAYS, name=typed["name"].strip() or None)
    number = cards.DECLINES if action == "decline" else typed["number"]
    return _read(box, typed | {"number": number})


def _change(box: Box, session: Record, form: Params, action: str) -> str | None:
    """Do what changes the total; return what to tell the customer before anything is paid."""
    country = str(form.get("country", ""))
    before = session.body["amount_total"]
    if country and country != session.private.get("country"):
        after = change_order(box, session.id, country=country)["amount_total"]
        if after != before:
            currency = session.body["currency"]
            return f"With the tax of your country the total is {written(after, currency)}."
    if action == "code":
        change_order(box, session.id, code=str(form.get("code", "")).strip() or None)
        return "Your code was applied."
    if action == "no_code":
        change_order(box, session.id, code="")
        return "Your code was removed."
    return "Your country was noted." if action == "country" else None


def next_url(outcome: Outcome) -> str:
    """Return where the customer goes after an attempt that was not declined."""
    if outcome.status == "requires_action":
        return f"/c/pay/{outcome.session['id']}/3ds"
    return redirect_url(outcome.session)


def _shortcut(box: Box, session_id: str, body: bytes) -> Response:
    """Pay as the page would, and answer the bank; return the outcome as JSON."""
    try:
        given = _json_object(body)
        session = get_session(box, session_id)
        typed = _PREFILLED | {"number": given.get("card", cards.PAYS)}
        email = given.get("email") or _known_email(session) or _SOMEONE
        payer = Payer(
            instrument=_chosen(box, typed, _choice(given, "method", ("card", "bank"))),
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
        items=item_rows(box, session),
        message=render("_error.html", text=error) if error else "",
        session_id=session.id,
        bank=_bank_button(body),
        breakdown=breakdown(body),
        code=_code_field(body),
        country=_country_field(session),
        tax_id=render("_tax_id.html") if session.private.get("asks_tax_id") else "",
        save=_save_box(body),
        **_words(body),
        **values,
    )
    return page("Checkout", content, status=status)


def _words(session: JsonObject) -> dict[str, str]:
    """Return what differs between paying and only saving a card."""
    if session["mode"] == "setup":
        return {"heading": "Save a card", "verb": "Save card", "total": ""}
    total = written(session["amount_total"], session["currency"])
    return {"heading": "Pay with card", "verb": f"Pay {total}", "total": total}


def _bank_button(session: JsonObject) -> Markup:
    if "us_bank_account" not in session["payment_method_types"]:
        return Markup()
    is_setup = session["mode"] == "setup"
    label = "Save a bank account" if is_setup else "Pay by bank debit, which takes days"
    return render("_bank_button.html", label=label)


def _code_field(session: JsonObject) -> Markup:
    if not session["allow_promotion_codes"]:
        return Markup()
    return render("_code_applied.html" if session["discounts"] else "_code.html")


def _country_field(session: Record) -> Markup:
    body = session.body
    is_asked = body["automatic_tax"]["enabled"] or session.private.get("asks_tax_id")
    if not is_asked and body["billing_address_collection"] != "required":
        return Markup()
    chosen = session.private.get("country")
    options = [
        render("_option.html", value=code, selected="selected" if code == chosen else "")
        for code in ("", *COUNTRIES)
    ]
    return render("_country.html", options=join(options))


def _save_box(session: JsonObject) -> Markup:
    options = session["saved_payment_method_options"]
    if options and options["payment_method_save"] == "enabled":
        return render("_save_box.html")
    return Markup()


def _closed(session: Record, status: int) -> Response:
    body = session.body
    if body["status"] == "complete":
        text = "This order has been paid. You were not charged again."
        return notice("Already paid", text, redirect_url(body), status)
    text = "The time to pay this order is over. Nothing was charged; please start again."
    return notice("This page has expired", text, body["cancel_url"], status)


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
