"""Every object has every key of Stripe's: `fixtures.json` is cut from stripe/openapi (MIT)."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.stripe.driver import API_KEY, Emulator

FIXTURES = json.loads((Path(__file__).parent / "fixtures.json").read_text())


@pytest.fixture
def objects(emulator: Emulator) -> dict[str, Any]:
    """Return one object of each kind, as the wire has it."""
    session = emulator.paid(customer_creation="always", invoice_creation={"enabled": True})
    headers = {"Authorization": f"Bearer {API_KEY}"}
    charge = emulator.client.charges.list().data[0]
    emulator.client.refunds.create({"charge": charge.id, "amount": 100})
    emulator.control(f"charges/{charge.id}/warn")
    emulator.saved("4242424242424242")
    coupon = emulator.client.coupons.create({"percent_off": 25.5})
    emulator.client.codes.create({"promotion": {"type": "coupon", "coupon": coupon.id}})
    emulator.control(f"charges/{charge.id}/dispute", amount=100)

    def get(path: str) -> Any:
        return emulator.http.get(f"/v1/{path}", headers=headers).json()

    intent = get(
        f"payment_intents/{charge.payment_intent}"
        "?expand[]=latest_charge.balance_transaction&expand[]=latest_charge.refunds&expand[]=payment_method&expand[]=customer"
    )
    items = get(f"checkout/sessions/{session.id}/line_items?expand[]=data.price.product")
    return {
        "checkout.session": get(f"checkout/sessions/{session.id}"),
        "payment_intent": intent,
        "charge": intent["latest_charge"],
        "balance_transaction": intent["latest_charge"]["balance_transaction"],
        "payment_method": intent["payment_method"],
        "customer": intent["customer"],
        "event": get("events")["data"][0],
        "refund": get("refunds")["data"][0],
        "setup_intent": get("setup_intents")["data"][0],
        "coupon": get("coupons")["data"][0],
        "promotion_code": get("promotion_codes")["data"][0],
        "invoice": get("invoices")["data"][0],
        "webhook_endpoint": get("webhook_endpoints")["data"][0],
        "dispute": get("disputes")["data"][0],
        "radar.early_fraud_warning": get("radar/early_fraud_warnings")["data"][0],
        "item": items["data"][0],
        "price": items["data"][0]["price"],
        "product": items["data"][0]["price"]["product"],
    }


# One test for all kinds: they come from one purchase, and the message names the kind.
def test_it_has_every_key_of_stripes_objects(objects: dict[str, Any]) -> None:
    missing = {
        kind: sorted(FIXTURES[kind].keys() - found.keys()) for kind, found in objects.items()
    }

    assert missing == {kind: [] for kind in FIXTURES}


def test_it_has_the_types_of_stripes_objects(objects: dict[str, Any]) -> None:
    differing = {
        (kind, key): (type(value), type(objects[kind][key]))
        for kind, fixture in FIXTURES.items()
        for key, value in fixture.items()
        if value is not None and not isinstance(objects[kind][key], type(value) | None)
        # These are expanded here and ids in the fixture.
        if not isinstance(objects[kind][key], dict)
    }

    assert differing == {}


def test_it_says_what_each_object_is(objects: dict[str, Any]) -> None:
    assert {kind: found["object"] for kind, found in objects.items()} == {
        kind: kind for kind in FIXTURES
    }
