"""Receipts: the page behind a charge's `receipt_url`."""

from collections.abc import Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe.box import Box
from sandbox.stripe.currencies import written
from sandbox.stripe.pages.markup import Markup, join, notice, page, render
from sandbox.stripe.store import Condition, JsonObject, Record


def receipt_routes(box: Callable[[], Box]) -> list[BaseRoute]:
    """Return the routes; the box exists only once the process runs."""

    async def receipt(request: Request) -> Response:
        return _receipt(box(), request.path_params["id"])

    async def invoice(request: Request) -> Response:
        return _invoice(box(), request.path_params["id"])

    return [
        Route("/receipts/{id}", receipt, methods=["GET"]),
        Route("/invoices/{id}", invoice, methods=["GET"]),
        Route("/invoices/{id}/pdf", invoice, methods=["GET"]),
    ]


def _receipt(box: Box, charge_id: str) -> Response:
    record = box.store.find(charge_id, "charge")
    if record is None or not record.body["paid"]:
        return notice("No receipt", "There is no such payment.", None, 404)
    charge = record.body
    content = render(
        "receipt.html",
        amount=written(charge["amount"], charge["currency"]),
        charge_id=charge["id"],
        email=charge["billing_details"]["email"],
        items=_items_of_intent(box, charge["payment_intent"]),
        method=_method(charge),
        paid_at=f"{datetime.fromtimestamp(charge['created'], UTC):%Y-%m-%d %H:%M} UTC",
        refunded=_refunded(charge),
    )
    return page("Receipt", content)


def _invoice(box: Box, invoice_id: str) -> Response:
    record = box.store.find(invoice_id, "invoice")
    if record is None:
        return notice("No invoice", "There is no such invoice.", None, 404)
    invoice, currency = record.body, record.body["currency"]
    condition = Condition(path="$.invoice", value=record.id)
    sessions = box.store.select("checkout.session", (condition,), limit=1)
    content = render(
        "invoice.html",
        breakdown=join([breakdown(session.body) for session in sessions]),
        country=(invoice["customer_address"] or {}).get("country") or "",
        email=invoice["customer_email"],
        issued_at=f"{datetime.fromtimestamp(invoice['created'], UTC):%Y-%m-%d}",
        items=join([item_rows(box, session) for session in sessions]),
        name=invoice["customer_name"] or "",
        number=invoice["number"],
        tax_ids=", ".join(tax_id["value"] for tax_id in invoice["customer_tax_ids"]),
        total=written(invoice["total"], currency),
    )
    return page("Invoice", content)


def _refunded(charge: JsonObject) -> Markup:
    if not charge["amount_refunded"]:
        return Markup()
    amount = written(charge["amount_refunded"], charge["currency"])
    return Markup(f'<div class="row"><dt>Refunded</dt><dd>{amount}</dd></div>')


def _items_of_intent(box: Box, intent_id: str) -> Markup:
    condition = Condition(path="$.payment_intent", value=intent_id)
    sessions = box.store.select("checkout.session", (condition,), limit=1)
    return join([item_rows(box, session) for session in sessions])


def _method(charge: JsonObject) -> str:
    kind = charge["payment_method_details"]["type"]
    details = charge["payment_method_details"][kind]
    name = details["brand"].title() if kind == "card" else details["bank_name"]
    return f"{name} ···· {details['last4']}"


def item_rows(box: Box, session: Record) -> Markup:
    return join([_item(box, item) for item in session.private["line_items"]])


def breakdown(session: JsonObject) -> Markup:
    """Return how the total comes about, where it is more than the sum of the items."""
    details, currency = session["total_details"], session["currency"]
    if details is None or not (details["amount_discount"] or details["amount_tax"]):
        return Markup()
    rows = [("Subtotal", session["amount_subtotal"])]
    if details["amount_discount"]:
        rows.append(("Discount", -details["amount_discount"]))
    if details["amount_tax"]:
        rows.append(("Tax", details["amount_tax"]))
    return join(
        [
            render("_total_row.html", name=name, amount=signed(amount, currency))
            for name, amount in rows
        ]
    )


def signed(amount: int, currency: str) -> str:
    return f"−{written(-amount, currency)}" if amount < 0 else written(amount, currency)


def _item(box: Box, item: JsonObject) -> Markup:
    each = written(item["price"]["unit_amount"], item["currency"])
    product = box.get("product", item["price"]["product"], param="product").body
    details = [product["description"], f"{item['quantity']} x {each}"]
    return render(
        "_item.html",
        name=item["description"],
        detail=" · ".join(detail for detail in details if detail),
        amount=written(item["amount_subtotal"], item["currency"]),
    )
