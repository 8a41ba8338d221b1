"""A restricted key: what it may not do is refused, and does nothing."""

import pytest
import stripe

from tests.sandbox.stripe.driver import API_KEY, Emulator, refusal


def test_it_may_do_everything_until_it_is_restricted(emulator: Emulator) -> None:
    emulator.control("permissions", charge="read")

    emulator.control("permissions")

    assert emulator.client.customers.create({"name": "Alice"}).id


def test_it_refuses_what_was_not_permitted_and_names_the_permission(emulator: Emulator) -> None:
    emulator.control("permissions", customer="read")

    error = refusal(lambda: emulator.client.customers.create({"name": "Alice"}))

    assert isinstance(error, stripe.PermissionError)
    assert error.http_status == 403
    assert "'rak_customer_write' permission" in str(error)
    assert emulator.client.customers.list().data == []


def test_who_may_write_may_read(emulator: Emulator) -> None:
    emulator.control("permissions", customer="write")

    customer = emulator.client.customers.create({"name": "Alice"})

    assert emulator.client.customers.retrieve(customer.id).name == "Alice"


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        ("/v1/charges", "charge"),
        ("/v1/refunds", "charge"),
        ("/v1/checkout/sessions", "checkout_session"),
        ("/v1/customers/cus_1/payment_methods", "payment_method"),
        ("/v1/prices", "plan"),
        ("/v1/disputes", "dispute"),
        ("/v1/events", "event"),
        ("/v1/radar/early_fraud_warnings", "radar"),
        ("/v1/webhook_endpoints", "webhook"),
    ],
)
def test_it_asks_for_the_permission_of_each_resource(
    emulator: Emulator, path: str, permission: str
) -> None:
    emulator.control("permissions", balance="read")
    headers = {"Authorization": f"Bearer {API_KEY}"}

    answer = emulator.http.get(path, headers=headers)

    assert answer.status_code == 403
    assert f"'rak_{permission}_read'" in answer.json()["error"]["message"]


def test_it_expands_only_what_may_be_read(emulator: Emulator) -> None:
    session = emulator.paid()
    emulator.control("permissions", checkout_session="write", payment_intent="read")
    sessions = emulator.client.sessions

    error = refusal(
        lambda: sessions.retrieve(session.id, {"expand": ["payment_intent.latest_charge"]})
    )
    read = sessions.retrieve(session.id, {"expand": ["payment_intent"]})

    assert "'rak_charge_read'" in str(error)
    assert isinstance(read.payment_intent, stripe.PaymentIntent)


def test_a_refused_call_leaves_its_idempotency_key_free(emulator: Emulator) -> None:
    key = {"Idempotency-Key": "a"}
    emulator.control("permissions", customer="read")
    refused = emulator.post("/v1/customers", {"name": "Alice"}, **key)

    emulator.control("permissions", customer="write")
    answer = emulator.post("/v1/customers", {"name": "Alice"}, **key)

    assert (refused.status_code, answer.status_code) == (403, 200)


def test_it_stays_restricted_after_a_restart(emulator: Emulator) -> None:
    emulator.control("permissions", charge="read")

    emulator.restart()

    assert refusal(emulator.client.customers.list).http_status == 403


@pytest.mark.parametrize("wrong", [{"charge": "maybe"}, {"money": "write"}])
def test_it_refuses_a_permission_that_stripe_does_not_have(
    emulator: Emulator, wrong: dict[str, str]
) -> None:
    assert emulator.http.post("/sandbox/permissions", json=wrong).status_code == 400
