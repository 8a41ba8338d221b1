"""Payments with a saved method while its owner is away."""

import httpx
import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, off_session, refusal, types_of

PAYS = "4242424242424242"
FAILS_LATER = "4000000000000341"
ASKS_ALWAYS = "4000002760003184"
ASKS_ONCE = "4000002500003155"


@pytest.mark.parametrize("card", [PAYS, ASKS_ONCE])
def test_it_charges_a_saved_card(emulator: Emulator, client: Client, card: str) -> None:
    method = emulator.saved(card)

    intent = client.intents.create(off_session(method, expand=["latest_charge"]))

    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    assert isinstance(intent.latest_charge, stripe.Charge)
    charge = intent.latest_charge
    assert (charge.paid, charge.customer, charge.payment_method) == (
        True,
        method.customer,
        method.id,
    )
    assert charge.metadata.to_dict() == {"order_id": "8"}
    assert types_of(client, "payment_intent.*") == [
        "payment_intent.created",
        "payment_intent.succeeded",
    ]
    assert emulator.http.get(str(charge.receipt_url)).status_code == 200


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        (FAILS_LATER, "card_declined", "generic_decline"),
        (ASKS_ALWAYS, "authentication_required", "authentication_required"),
        ("4000008260003178", "card_declined", "insufficient_funds"),
    ],
)
def test_it_keeps_the_payment_intent_that_was_declined(
    emulator: Emulator, client: Client, card: str, code: str, decline_code: str
) -> None:
    method = emulator.saved(card)

    error = refusal(lambda: client.intents.create(off_session(method)))

    assert isinstance(error, stripe.CardError)
    assert (error.http_status, error.code) == (402, code)
    assert error.error is not None
    assert error.error.decline_code == decline_code
    assert error.error.payment_intent is not None
    assert error.error.payment_method is not None
    assert error.error.payment_method.id == method.id
    kept = client.intents.retrieve(error.error.payment_intent.id)
    assert (kept.status, kept.amount_received) == ("requires_payment_method", 0)
    assert kept.last_payment_error is not None
    assert kept.last_payment_error.code == code
    assert [charge.paid for charge in client.charges.list().data] == [False]
    assert types_of(client, "payment_intent.*") == [
        "payment_intent.created",
        "payment_intent.payment_failed",
    ]


def test_it_repeats_a_decline_under_the_same_idempotency_key(
    emulator: Emulator, client: Client
) -> None:
    order = off_session(emulator.saved(FAILS_LATER))

    errors = [
        refusal(lambda: client.intents.create(order, {"idempotency_key": "top-up-8"}))
        for _ in range(2)
    ]

    assert [error.code for error in errors] == ["card_declined", "card_declined"]
    assert len(client.intents.list().data) == 1
    assert len(client.charges.list().data) == 1


def test_it_charges_once_when_the_answer_came_too_late(emulator: Emulator, client: Client) -> None:
    order = off_session(emulator.saved(PAYS))
    emulator.control(
        "latency", seconds=0.6, when="after", method="POST", path="/v1/payment_intents"
    )
    impatient = emulator.new_client(timeout_s=0.2)

    late = refusal(lambda: impatient.intents.create(order, {"idempotency_key": "top-up-8"}))
    emulator.control("latency", seconds=0)
    again = client.intents.create(order, {"idempotency_key": "top-up-8"})
    impatient.close()

    assert isinstance(late, stripe.APIConnectionError)
    assert [intent.id for intent in client.intents.list().data] == [again.id]
    assert again.status == "succeeded"


@pytest.mark.parametrize(
    ("verb", "status", "event"),
    [
        ("succeed", "succeeded", "payment_intent.succeeded"),
        ("fail", "requires_payment_method", "payment_intent.payment_failed"),
    ],
)
def test_it_lets_a_bank_debit_take_its_time(
    emulator: Emulator, client: Client, verb: str, status: str, event: str
) -> None:
    alice = client.customers.create({})
    method = client.methods.attach("pm_usBankAccount_success", {"customer": alice.id})

    processing = client.intents.create(off_session(method))
    emulator.control(f"payment_intents/{processing.id}/{verb}")
    again = emulator.http.post(f"/sandbox/payment_intents/{processing.id}/{verb}")

    settled = client.intents.retrieve(processing.id, {"expand": ["latest_charge"]})
    assert (processing.status, settled.status) == ("processing", status)
    assert isinstance(settled.latest_charge, stripe.Charge)
    assert settled.latest_charge.paid is (verb == "succeed")
    assert types_of(client, "payment_intent.*") == [
        "payment_intent.created",
        "payment_intent.processing",
        event,
    ]
    assert again.status_code == 400


@pytest.mark.parametrize(
    ("passed", "status"), [(True, "succeeded"), (False, "requires_payment_method")]
)
def test_it_asks_the_bank_when_the_customer_is_there(
    emulator: Emulator, client: Client, passed: bool, status: str
) -> None:
    method = emulator.saved(ASKS_ALWAYS)
    order = off_session(
        method,
        off_session=None,
        automatic_payment_methods=None,
        return_url="http://shop.example/back?x=1",
    )

    asked = client.intents.create(order)
    assert asked.next_action is not None
    assert asked.next_action.redirect_to_url is not None
    answer = emulator.http.post(
        str(asked.next_action.redirect_to_url.url), data={"answer": "pass" if passed else "fail"}
    )

    assert (asked.status, asked.next_action.type) == ("requires_action", "redirect_to_url")
    back = httpx.URL(answer.headers["location"])
    assert (back.host, back.params["x"]) == ("shop.example", "1")
    assert back.params["payment_intent"] == asked.id
    assert client.intents.retrieve(asked.id).status == status
    assert types_of(client, "payment_intent.*")[1] == "payment_intent.requires_action"


def test_it_lets_a_saved_card_go_bad(emulator: Emulator, client: Client) -> None:
    method = emulator.saved(PAYS)

    emulator.control(f"payment_methods/{method.id}/card", card=FAILS_LATER)

    assert refusal(lambda: client.intents.create(off_session(method))).code == "card_declined"
    bad = emulator.http.post(f"/sandbox/payment_methods/{method.id}/card", json={"card": "4242"})
    assert bad.status_code == 400


def test_it_confirms_and_cancels_in_steps(emulator: Emulator, client: Client) -> None:
    method = emulator.saved(PAYS)
    customer = str(method.customer)
    waiting = client.intents.create({"amount": 500, "currency": "USD", "customer": customer})
    other = client.intents.create({"amount": 500, "currency": "usd"})

    paid = client.intents.confirm(
        waiting.id, {"payment_method": method.id, "return_url": "http://shop.example/"}
    )
    canceled = client.intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    again = refusal(lambda: client.intents.cancel(paid.id))

    assert (waiting.status, waiting.currency) == ("requires_payment_method", "usd")
    assert paid.status == "succeeded"
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    assert (again.http_status, again.code) == (400, "payment_intent_unexpected_state")
    assert [intent.id for intent in client.intents.list({"customer": customer}).data] == [paid.id]
    assert "payment_intent.canceled" in types_of(client, "payment_intent.*")


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": 100_000_000}, "amount_too_large", "amount"),
        ({"currency": "dollars"}, None, "currency"),
        ({"customer": "cus_unknown"}, "resource_missing", "customer"),
        ({"payment_method": "pm_unknown"}, "resource_missing", "payment_method"),
        ({"customer": None}, "payment_method_customer_mismatch", "payment_method"),
        ({"confirm": None}, None, "off_session"),
        ({"payment_method": None}, "payment_intent_unexpected_state", None),
        ({"automatic_payment_methods": {"enabled": True}}, None, "return_url"),
        ({"setup_future_usage": "off_session"}, None, "setup_future_usage"),
        ({"capture_method": "manual"}, "parameter_not_emulated", "capture_method"),
        ({"payment_method_types": ["card"]}, "parameter_unknown", "payment_method_types"),
    ],
)
def test_it_refuses_a_payment_that_stripe_refuses(
    emulator: Emulator,
    client: Client,
    changes: dict[str, object],
    code: str | None,
    param: str | None,
) -> None:
    method = emulator.saved(PAYS)

    error = refusal(lambda: client.intents.create(off_session(method, **changes)))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert client.intents.list().data == []


def test_it_leaves_checkouts_payment_intent_to_checkout(emulator: Emulator, client: Client) -> None:
    session = emulator.session()
    emulator.pay(session.id, card="4000000000000002")
    intent_id = str(client.sessions.retrieve(session.id).payment_intent)

    error = refusal(lambda: client.intents.cancel(intent_id))

    assert error.http_status == 400
    assert client.intents.retrieve(intent_id).status == "requires_payment_method"
