"""Tax, tax ids and invoices of the hosted page."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, order, refusal, types_of

TAXED: Any = {"automatic_tax": {"enabled": True}}
FORM = {
    "email": "alice@example.com",
    "number": "4242424242424242",
    "expiry": "12 / 34",
    "cvc": "123",
    "name": "Alice",
    "action": "pay",
}


@pytest.mark.parametrize(
    ("behavior", "country", "amounts"),
    [
        ("exclusive", "DE", (238, 1488)),  # 19 % of 1250 is 237.5
        ("inclusive", "DE", (200, 1250)),  # 1250 / 1.19 is 1050.42
        ("exclusive", "US", (0, 1250)),
    ],
)
def test_it_taxes_as_the_customers_country_does(
    emulator: Emulator, client: Client, behavior: str, country: str, amounts: tuple[int, int]
) -> None:
    items = order()["line_items"]
    items[0]["price_data"]["tax_behavior"] = behavior
    session = emulator.session(line_items=items, **TAXED)

    emulator.pay(session.id, country=country)

    paid = client.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert paid.total_details is not None
    assert (paid.total_details.amount_tax, paid.amount_total) == amounts
    assert (session.automatic_tax.status, paid.automatic_tax.status) == (
        "requires_location_inputs",
        "complete",
    )
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    assert paid.payment_intent.amount_received == amounts[1]
    assert paid.customer_details is not None
    assert paid.customer_details.address is not None
    assert paid.customer_details.address.country == country


def test_it_shows_the_tax_before_it_is_paid(emulator: Emulator, client: Client) -> None:
    session = emulator.session(**TAXED)

    first = emulator.http.post(f"/c/pay/{session.id}", data={**FORM, "country": "DE"})
    unpaid = client.sessions.retrieve(session.id)
    second = emulator.http.post(f"/c/pay/{session.id}", data={**FORM, "country": "DE"})

    assert "the total is $14.88" in first.text
    assert (unpaid.status, unpaid.amount_total) == ("open", 1488)
    assert second.status_code == 303


def test_it_takes_no_money_without_a_country_to_tax(emulator: Emulator, client: Client) -> None:
    session = emulator.session(**TAXED)

    answers = [emulator.pay(session.id), emulator.pay(session.id, country="XX")]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert client.charges.list().data == []


def test_it_taxes_what_is_left_after_the_discount(emulator: Emulator, client: Client) -> None:
    coupon = client.coupons.create({"percent_off": 20})
    session = emulator.session(discounts=[{"coupon": coupon.id}], **TAXED)

    emulator.pay(session.id, country="FR")

    # 1250 less 20 % is 1000, and 20 % of that are 200.
    assert client.sessions.retrieve(session.id).amount_total == 1200


def test_it_keeps_the_tax_id_of_a_business(emulator: Emulator, client: Client) -> None:
    session = emulator.session(tax_id_collection={"enabled": True})

    bad = emulator.pay(session.id, country="DE", tax_id="FR123456789")
    emulator.pay(session.id, country="DE", tax_id="DE 123 456 789")

    details = client.sessions.retrieve(session.id).customer_details
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "tax_id_invalid")
    assert details is not None
    assert details.tax_ids is not None
    assert [(tax_id.type, tax_id.value) for tax_id in details.tax_ids] == [
        ("eu_vat", "DE123456789")
    ]


def test_it_writes_the_country_to_the_customer_who_is_known(
    emulator: Emulator, client: Client
) -> None:
    alice = client.customers.create({"email": "alice@example.com"})

    refused = refusal(lambda: client.sessions.create(order(customer=alice.id, **TAXED)))
    session = emulator.session(customer=alice.id, customer_update={"address": "auto"}, **TAXED)
    emulator.pay(session.id, country="NL")

    assert refused.code == "customer_tax_location_invalid"
    address = client.customers.retrieve(alice.id).address
    assert address is not None
    assert address.country == "NL"
    assert client.sessions.retrieve(session.id).amount_total == 1250 + 263


def test_it_makes_an_invoice_of_a_paid_session(emulator: Emulator, client: Client) -> None:
    session = emulator.session(
        invoice_creation={"enabled": True, "invoice_data": {"metadata": {"order_id": "7"}}},
        **TAXED,
    )

    emulator.pay(session.id, country="DE", email="alice@example.com")

    paid = client.sessions.retrieve(session.id, {"expand": ["invoice"]})
    invoice = paid.invoice
    assert isinstance(invoice, stripe.Invoice)
    assert (invoice.status, invoice.total, invoice.amount_paid) == ("paid", 1488, 1488)
    assert invoice.customer == paid.customer
    assert invoice.metadata is not None
    assert invoice.metadata["order_id"] == "7"
    assert [line.amount for line in invoice.lines.data] == [1250]
    assert [each.id for each in client.invoices.list({"customer": str(paid.customer)}).data] == [
        invoice.id
    ]
    page = emulator.http.get(str(invoice.hosted_invoice_url))
    assert "$14.88" in page.text
    assert str(invoice.number) in page.text
    assert emulator.http.get(str(invoice.invoice_pdf)).status_code == 200
    assert types_of(client, "invoice.*") == [
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


def test_it_makes_the_invoice_of_a_bank_debit_when_that_is_paid(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session(invoice_creation={"enabled": True})
    emulator.pay(session.id, method="bank")
    pending = client.sessions.retrieve(session.id)

    emulator.control(f"payment_intents/{pending.payment_intent}/succeed")

    assert pending.invoice is None
    assert client.sessions.retrieve(session.id).invoice is not None
