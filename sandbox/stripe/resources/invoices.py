"""Invoices: made of a paid Checkout Session that asked for one, finalized and paid at once."""

from typing import Any

from stripe.params import InvoiceListParams, InvoiceRetrieveParams

from sandbox.stripe.box import Box, Cause
from sandbox.stripe.ids import new_id
from sandbox.stripe.listing import as_list, list_objects
from sandbox.stripe.operation import PAGING, Call, Operation
from sandbox.stripe.resources.shared import merge_metadata
from sandbox.stripe.store import JsonObject, Record

_TOLD = ("invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded")


def new_invoice(box: Box, session: Record, cause: Cause) -> Record:
    """Create the paid invoice of a paid session; its customer must exist."""
    customer = box.get("customer", session.body["customer"], param="customer")
    record = box.store.insert(_body(box, session, customer))
    box.change(customer, {"next_invoice_sequence": customer.body["next_invoice_sequence"] + 1})
    for event in _TOLD:
        box.emit(event, record.body, cause=cause)
    return record


def _body(box: Box, session: Record, customer: Record) -> JsonObject:
    stamp = box.stamp("invoice")
    now, total = stamp["created"], session.body["amount_total"]
    data = session.body["invoice_creation"]["invoice_data"]
    details = session.body["customer_details"]
    url = f"{box.config.public_url.rstrip('/')}/invoices/{stamp['id']}"
    taxed = session.body["total_details"]["amount_tax"]
    discounted = session.body["total_details"]["amount_discount"]
    sequence = customer.body["next_invoice_sequence"]
    return {
        **stamp,
        **_absent(),
        "account_country": "US",
        "account_name": "TokenProxy",
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": total,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "attempt_count": 1,
        "attempted": True,
        "auto_advance": False,
        "automatic_tax": {"disabled_reason": None, **session.body["automatic_tax"]},
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "currency": session.body["currency"],
        "customer": customer.id,
        "customer_address": details["address"],
        "customer_email": details["email"],
        "customer_name": details["name"],
        "customer_tax_exempt": "none",
        "customer_tax_ids": details["tax_ids"] or [],
        "default_tax_rates": [],
        "description": data["description"],
        "discounts": [],
        "effective_at": now,
        "footer": data["footer"],
        "hosted_invoice_url": url,
        "invoice_pdf": f"{url}/pdf",
        "issuer": {"type": "self"},
        "lines": _lines(session, stamp["id"], now),
        "metadata": merge_metadata({}, data["metadata"]),
        "number": f"{customer.body['invoice_prefix']}-{sequence:04}",
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": now,
        "period_start": now,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "starting_balance": 0,
        "status": "paid",
        "status_transitions": {
            "finalized_at": now,
            "marked_uncollectible_at": None,
            "paid_at": now,
            "voided_at": None,
        },
        "subtotal": session.body["amount_subtotal"],
        "subtotal_excluding_tax": session.body["amount_subtotal"],
        "total": total,
        "total_discount_amounts": [{"amount": discounted}] if discounted else [],
        "total_excluding_tax": total - taxed,
        "total_pretax_credit_amounts": [],
        "total_taxes": [{"amount": taxed}] if taxed else [],
        "rendering": None,
    }


def _absent() -> dict[str, Any]:
    return dict.fromkeys(
        (
            "account_tax_ids", "application", "automatically_finalizes_at", "custom_fields",
            "customer_account", "customer_phone", "customer_shipping", "default_payment_method",
            "default_source", "due_date", "ending_balance", "from_invoice",
            "last_finalization_error", "latest_revision", "next_payment_attempt", "on_behalf_of",
            "parent", "receipt_number", "shipping_cost", "shipping_details",
            "statement_descriptor", "subscription", "test_clock", "webhooks_delivered_at",
        )
    )  # fmt: skip


def _lines(session: Record, invoice_id: str, now: int) -> JsonObject:
    lines = [
        {
            "id": new_id("line_item"),
            "object": "line_item",
            "amount": item["amount_subtotal"],
            "currency": item["currency"],
            "description": item["description"],
            "discount_amounts": [],
            "discountable": True,
            "discounts": [],
            "invoice": invoice_id,
            "livemode": False,
            "metadata": item["metadata"],
            "parent": None,
            "period": {"end": now, "start": now},
            "pretax_credit_amounts": [],
            "pricing": {
                "price_details": {
                    "price": item["price"]["id"],
                    "product": item["price"]["product"],
                },
                "type": "price_details",
                "unit_amount_decimal": item["price"]["unit_amount_decimal"],
            },
            "quantity": item["quantity"],
            "quantity_decimal": str(item["quantity"]),
            "subscription": None,
            "subtotal": item["amount_subtotal"],
            "taxes": [{"amount": item["amount_tax"]}] if item["amount_tax"] else [],
        }
        for item in session.private["line_items"]
    ]
    return as_list(lines, url=f"/v1/invoices/{invoice_id}/lines")


def _retrieve(call: Call) -> JsonObject:
    return call.box.get("invoice", call.path_params["id"], param="invoice").body


def _list(call: Call) -> JsonObject:
    names = ("customer", "status", "collection_method")
    return list_objects(call, "invoice", filters={name: f"$.{name}" for name in names})


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/invoices",
        params=InvoiceListParams,
        emulated=PAGING | {"customer", "status", "collection_method"},
        run=_list,
    ),
    Operation(
        method="GET",
        path="/v1/invoices/{id}",
        params=InvoiceRetrieveParams,
        emulated=PAGING,
        run=_retrieve,
    ),
)
