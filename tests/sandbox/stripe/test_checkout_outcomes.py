"""What else may come of a payment on the hosted page: the bank asks, or takes days."""

import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, Endpoint, types_of

ASKS = "4000002760003184"
FORM = {
    "email": "alice@example.com",
    "number": ASKS,
    "expiry": "12 / 34",
    "cvc": "123",
    "name": "Alice",
    "action": "pay",
}


def test_it_sends_the_customer_to_the_bank_and_on_to_the_shop(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()

    asked = emulator.http.post(f"/c/pay/{session.id}", data=FORM)
    question = emulator.http.get(asked.headers["location"])
    passed = emulator.http.post(asked.headers["location"], data={"answer": "pass"})

    assert (asked.status_code, asked.headers["location"]) == (303, f"/c/pay/{session.id}/3ds")
    assert "$12.50" in question.text
    assert passed.headers["location"] == f"http://shop.example/return?session={session.id}"
    assert client.sessions.retrieve(session.id).payment_status == "paid"
    assert types_of(client, "payment_intent.*") == [
        "payment_intent.created",
        "payment_intent.requires_action",
        "payment_intent.succeeded",
    ]


def test_it_takes_another_card_after_the_bank_was_not_convinced(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()
    emulator.http.post(f"/c/pay/{session.id}", data=FORM)

    failed = emulator.http.post(f"/c/pay/{session.id}/3ds", data={"answer": "fail"})
    after = client.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    emulator.pay(session.id)

    assert failed.status_code == 402
    assert "unable to authenticate" in failed.text
    assert 'value="alice@example.com"' in failed.text
    assert (after.status, after.payment_status) == ("open", "unpaid")
    assert isinstance(after.payment_intent, stripe.PaymentIntent)
    assert after.payment_intent.last_payment_error is not None
    assert after.payment_intent.last_payment_error.code == "payment_intent_authentication_failure"
    assert len(client.charges.list().data) == 1
    assert client.sessions.retrieve(session.id).payment_status == "paid"


def test_it_declines_a_card_that_the_bank_asked_about(emulator: Emulator, client: Client) -> None:
    session = emulator.session()

    declined = emulator.pay(session.id, card="4000008400001629", authentication="pass")

    assert (declined.status_code, declined.json()["error"]["code"]) == (402, "card_declined")
    assert client.sessions.retrieve(session.id).status == "open"


def test_it_asks_only_where_there_is_a_question(emulator: Emulator) -> None:
    fresh, paid = emulator.session(), emulator.paid()

    answers = [
        emulator.http.get(f"/c/pay/{fresh.id}/3ds"),
        emulator.http.post(f"/c/pay/{paid.id}/3ds", data={"answer": "pass"}),
        emulator.http.get("/c/pay/cs_test_unknown/3ds"),
        emulator.http.get("/3ds/pi_unknown"),
    ]

    assert [answer.status_code for answer in answers] == [303, 303, 404, 404]


def test_it_expires_a_session_whose_customer_never_answered_the_bank(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()
    emulator.pay(session.id, card=ASKS)

    expired = client.sessions.expire(session.id, {"expand": ["payment_intent"]})
    late = emulator.http.post(f"/c/pay/{session.id}/3ds", data={"answer": "pass"})

    assert isinstance(expired.payment_intent, stripe.PaymentIntent)
    assert expired.payment_intent.status == "canceled"
    assert late.headers["location"] == f"/c/pay/{session.id}"
    assert client.charges.list().data == []


@pytest.mark.parametrize(
    ("verb", "payment_status", "event"),
    [
        ("succeed", "paid", "checkout.session.async_payment_succeeded"),
        ("fail", "unpaid", "checkout.session.async_payment_failed"),
    ],
)
def test_it_completes_a_bank_debit_before_it_is_paid(
    emulator: Emulator, client: Client, verb: str, payment_status: str, event: str
) -> None:
    session = emulator.session()

    emulator.http.post(f"/c/pay/{session.id}", data={**FORM, "action": "bank"})
    pending = client.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert isinstance(pending.payment_intent, stripe.PaymentIntent)
    emulator.control(f"payment_intents/{pending.payment_intent.id}/{verb}")

    after = client.sessions.retrieve(session.id)
    assert (pending.status, pending.payment_status) == ("complete", "unpaid")
    assert pending.payment_intent.status == "processing"
    assert (after.status, after.payment_status) == ("complete", payment_status)
    assert types_of(client, "checkout.*") == ["checkout.session.completed", event]


def test_it_tells_the_shop_of_a_failed_debit(emulator: Emulator, endpoint: Endpoint) -> None:
    session = emulator.session()
    paying = emulator.pay(session.id, method="bank")
    endpoint.take(4)

    emulator.control(f"payment_intents/{paying.json()['session']['payment_intent']}/fail")

    events = endpoint.take(3)
    assert paying.json()["outcome"] == "processing"
    assert set(events) == {
        "charge.failed",
        "payment_intent.payment_failed",
        "checkout.session.async_payment_failed",
    }
    failed = events["payment_intent.payment_failed"].data.object
    assert failed["status"] == "requires_payment_method"


def test_it_has_no_bank_debit_but_in_dollars(emulator: Emulator) -> None:
    data = {"currency": "eur", "unit_amount": 500, "product_data": {"name": "Starter"}}
    session = emulator.session(line_items=[{"price_data": data, "quantity": 1}])

    page = emulator.http.get(str(session.url)).text
    refused = emulator.pay(session.id, method="bank")

    assert session.payment_method_types == ["card"]
    assert "bank debit" not in page
    assert refused.status_code == 400
