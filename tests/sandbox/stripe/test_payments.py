import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, Endpoint, refusal


def test_it_completes_the_session_and_charges_when_the_card_pays(emulator: Emulator) -> None:
    session = emulator.paid(customer_email="alice@example.com")

    intent = session.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    charge = intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (session.status, session.payment_status, session.url) == ("complete", "paid", None)
    assert session.customer_details is not None
    assert session.customer_details.email == "alice@example.com"
    assert session.customer is None
    assert (intent.status, intent.amount_received) == ("succeeded", 1250)
    assert (charge.status, charge.paid, charge.amount_captured) == ("succeeded", True, 1250)
    assert charge.metadata.to_dict() == {"order_id": "7"}


def test_it_shows_a_receipt_for_the_charge(emulator: Emulator) -> None:
    session = emulator.paid()
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    charge = session.payment_intent.latest_charge
    assert isinstance(charge, stripe.Charge)

    page = emulator.http.get(str(charge.receipt_url))

    assert page.status_code == 200
    assert "$12.50" in page.text
    assert "Starter pack" in page.text
    assert "4242" in page.text


def test_it_books_the_charge_less_its_fee_to_the_balance(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()
    emulator.pay(session.id)

    paid = client.sessions.retrieve(
        session.id, {"expand": ["payment_intent.latest_charge.balance_transaction"]}
    )

    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    charge = paid.payment_intent.latest_charge
    assert isinstance(charge, stripe.Charge)
    booked = charge.balance_transaction
    assert isinstance(booked, stripe.BalanceTransaction)
    # 2.9 % of 1250 is 36.25, and 30.
    assert (booked.amount, booked.fee, booked.net) == (1250, 66, 1184)
    assert client.stripe.v1.balance.retrieve().available[0].amount == 1184


def test_it_leaves_the_session_open_when_the_card_is_declined(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()

    answer = emulator.pay(session.id, card="4000000000000002")

    assert answer.status_code == 402
    assert answer.json()["error"]["decline_code"] == "generic_decline"
    after = client.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert (after.status, after.payment_status) == ("open", "unpaid")
    intent = after.payment_intent
    assert isinstance(intent, stripe.PaymentIntent)
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error is not None
    assert intent.last_payment_error.code == "card_declined"


def test_it_takes_another_card_after_a_decline_on_the_same_payment_intent(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000009995")

    emulator.pay(session.id, card="4242424242424242")

    paid = client.sessions.retrieve(session.id)
    charges = client.charges.list({"payment_intent": str(paid.payment_intent)}).data
    assert paid.payment_status == "paid"
    assert [charge.status for charge in charges] == ["succeeded", "failed"]
    assert charges[1].failure_code == "card_declined"
    assert len(client.intents.list().data) == 1


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("4000000000000069", "expired_card"),
        ("4000000000000127", "incorrect_cvc"),
        ("4000000000000119", "processing_error"),
        ("4111111111111111", "card_declined"),
        ("4242424242424241", "incorrect_number"),
        ("card", "incorrect_number"),
    ],
)
def test_it_declines_each_test_card_with_its_code(emulator: Emulator, card: str, code: str) -> None:
    session = emulator.session()

    answer = emulator.pay(session.id, card=card)

    assert (answer.status_code, answer.json()["error"]["code"]) == (402, code)


def test_it_refuses_to_pay_a_session_twice(emulator: Emulator, client: Client) -> None:
    session = emulator.paid()

    again = emulator.pay(session.id)

    assert again.status_code == 409
    assert len(client.charges.list().data) == 1


def test_it_refuses_to_pay_after_the_time_is_over(emulator: Emulator, client: Client) -> None:
    session = emulator.session()
    client.sessions.expire(session.id)

    answer = emulator.pay(session.id)

    assert answer.status_code == 409
    assert client.charges.list().data == []


def test_it_creates_the_customer_when_the_shop_asked_for_one(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.paid(customer_creation="always", customer_email="alice@example.com")

    customer = client.customers.retrieve(str(session.customer))
    assert customer.email == "alice@example.com"
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert session.payment_intent.customer == customer.id


def test_it_pays_for_the_customer_the_shop_named(emulator: Emulator, client: Client) -> None:
    alice = client.customers.create({"email": "alice@example.com"})

    session = emulator.paid(customer=alice.id)

    assert session.customer == alice.id
    assert session.customer_details is not None
    assert session.customer_details.email == "alice@example.com"
    assert [charge.customer for charge in client.charges.list().data] == [alice.id]


def test_it_sends_the_events_of_a_payment(emulator: Emulator, endpoint: Endpoint) -> None:
    session = emulator.paid()

    events = endpoint.take(4)

    assert set(events) == {
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    }
    completed = events["checkout.session.completed"].data.object
    assert (completed["id"], completed["payment_status"]) == (session.id, "paid")
    assert events["charge.succeeded"].data.object["metadata"].to_dict() == {"order_id": "7"}


def test_it_sends_the_events_of_a_decline(emulator: Emulator, endpoint: Endpoint) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000000002")

    events = endpoint.take(3)

    assert set(events) == {
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    }


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"card": 4242424242424242}', '{"cart": "4242424242424242"}']
)
def test_it_refuses_a_malformed_shortcut(emulator: Emulator, client: Client, body: str) -> None:
    session = emulator.session()

    answer = emulator.http.post(f"/sandbox/checkout/{session.id}/pay", content=body)

    assert answer.status_code == 400
    assert client.sessions.retrieve(session.id).status == "open"


def test_it_has_no_payment_for_an_unknown_session(emulator: Emulator, client: Client) -> None:
    answer = emulator.pay("cs_test_unknown")

    assert answer.status_code == 404
    assert refusal(lambda: client.intents.retrieve("pi_unknown")).http_status == 404


def test_it_pays_as_a_whole_or_not_at_all(emulator: Emulator, client: Client) -> None:
    session = emulator.session()

    # The last thing a payment writes is the event that tells of it.
    with emulator.failing("event", "$.type", "checkout.session.completed"):
        broken = emulator.pay(session.id)

    assert broken.status_code == 500
    assert client.sessions.retrieve(session.id).status == "open"
    assert emulator.state()["objects"].keys() == {"checkout.session", "product"}
    assert emulator.state()["deliveries"] == []
    assert emulator.pay(session.id).status_code == 200
