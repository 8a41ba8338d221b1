"""How a Checkout Session ends well: its customer, its discount redeemed, its invoice, its event."""

from dataclasses import dataclass
from typing import Literal

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.cards import Decline
from sandbox.stripe.resources.checkout_body import customer_details
from sandbox.stripe.resources.customers import get_customer
from sandbox.stripe.resources.invoices import new_invoice
from sandbox.stripe.resources.payment_methods import Instrument
from sandbox.stripe.resources.promotion_codes import redeem
from sandbox.stripe.resources.shared import EMPTY_ADDRESS
from sandbox.stripe.store import JsonObject, Record

# What a person did has no API request behind it.
NO_REQUEST = Cause()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    status: Literal["paid", "free", "processing", "saved", "requires_action", "declined"]
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
    tax_id: str = ""


def wanted_customer(session: Record) -> JsonObject | None:
    """Return whom to make a customer of once he pays; None if there is no need."""
    needs_one = session.body["invoice_creation"]["enabled"] and not session.body["customer"]
    if session.body["customer_creation"] != "always" and not needs_one:
        return None
    payer, country = session.private["payer"], session.private.get("country")
    given: JsonObject = {"email": payer["email"], "name": payer["name"] or ""}
    return {**given, "address": {"country": country}} if country else given


def complete(box: Box, session: Record, *, customer: str | None, payment_status: str) -> None:
    payer, country = session.private["payer"], session.private.get("country")
    details = customer_details(
        email=payer["email"], name=payer["name"], country=country, tax_id=payer["tax_id"]
    )
    changes = {
        "customer": customer,
        "customer_details": details,
        "payment_status": payment_status,
        "status": "complete",
        "url": None,
    }
    box.change(session, changes)
    if discount := session.private.get("discount"):
        redeem(box, promotion_code=discount["promotion_code"], coupon=discount["coupon"])
    _update_customer(box, session)
    if payment_status != "unpaid":
        add_invoice(box, session)
    box.emit("checkout.session.completed", session.body, cause=NO_REQUEST)


def _update_customer(box: Box, session: Record) -> None:
    """Write to the customer what the shop asked to be kept: country, name and tax id.

    https://docs.stripe.com/tax/checkout/tax-ids
    """
    updates, payer = session.private.get("updates", {}), session.private["payer"]
    if not updates:
        return
    customer = get_customer(box, session.body["customer"])
    changes: JsonObject = {}
    country = session.private.get("country")
    if updates.get("address") == "auto" and country:
        changes["address"] = {**(customer.body["address"] or EMPTY_ADDRESS), "country": country}
    if updates.get("name") == "auto" and payer["name"]:
        changes["name"] = payer["name"]
    if payer["tax_id"]:
        customer.private["tax_id"] = payer["tax_id"]
        box.store.save(customer)
    if previous := box.change(customer, changes):
        box.emit("customer.updated", customer.body, cause=NO_REQUEST, previous=previous)


def add_invoice(box: Box, session: Record) -> None:
    if session.body["invoice_creation"]["enabled"]:
        box.change(session, {"invoice": new_invoice(box, session, NO_REQUEST).id})
