import pytest
import stripe

from tests.sandbox.stripe.driver import Client, Emulator, refusal, setup, types_of

PAYS = "4242424242424242"
FUTURE = {"setup_future_usage": "off_session"}


def test_it_saves_the_card_of_a_payment_that_is_meant_for_later(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.paid(customer_creation="always", payment_intent_data=FUTURE)

    methods = client.methods.list({"customer": str(session.customer), "type": "card"}).data
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert [method.id for method in methods] == [session.payment_intent.payment_method]
    assert methods[0].card is not None
    assert (methods[0].card.brand, methods[0].card.last4) == ("visa", "4242")
    assert types_of(client, "payment_method.*") == ["payment_method.attached"]


def test_it_saves_no_card_unless_asked(emulator: Emulator, client: Client) -> None:
    alice = client.customers.create({"email": "alice@example.com"})

    emulator.paid(customer=alice.id)

    assert client.customers.payment_methods.list(alice.id).data == []


@pytest.mark.parametrize(("choice", "count"), [("yes", 1), ("no", 0)])
def test_it_asks_the_customer_whether_to_save_the_card(
    emulator: Emulator, client: Client, choice: str, count: int
) -> None:
    alice = client.customers.create({"email": "alice@example.com"})
    session = emulator.session(
        customer=alice.id, saved_payment_method_options={"payment_method_save": "enabled"}
    )

    page = emulator.http.get(str(session.url)).text
    emulator.pay(session.id, save=choice)

    assert "Save my payment details" in page
    assert len(client.customers.payment_methods.list(alice.id).data) == count


def test_it_saves_nothing_that_the_shop_did_not_offer_to_save(
    emulator: Emulator, client: Client
) -> None:
    alice = client.customers.create({"email": "alice@example.com"})
    session = emulator.session(customer=alice.id)

    emulator.pay(session.id, save="yes")

    assert client.customers.payment_methods.list(alice.id).data == []


def test_it_saves_a_card_without_a_payment(emulator: Emulator, client: Client) -> None:
    session = client.sessions.create(setup())
    before = (session.mode, session.status, session.payment_status)

    answer = emulator.pay(session.id, email="alice@example.com")

    after = client.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    assert before == ("setup", "open", "no_payment_required")
    assert answer.json()["outcome"] == "saved"
    assert (after.status, after.payment_intent) == ("complete", None)
    intent = after.setup_intent
    assert isinstance(intent, stripe.SetupIntent)
    assert intent.metadata is not None
    assert (intent.status, intent.metadata["user_id"]) == ("succeeded", "3")
    assert isinstance(intent.payment_method, stripe.PaymentMethod)
    assert intent.payment_method.customer == after.customer
    assert client.charges.list().data == []
    assert types_of(client, "setup_intent.*") == ["setup_intent.created", "setup_intent.succeeded"]
    assert types_of(client, "checkout.*") == ["checkout.session.completed"]


@pytest.mark.parametrize(
    ("card", "answer", "code"),
    [
        ("4000000000000002", "none", "card_declined"),
        ("4000002500003155", "fail", "setup_intent_authentication_failure"),
    ],
)
def test_it_saves_no_card_that_its_bank_refuses(
    emulator: Emulator, client: Client, card: str, answer: str, code: str
) -> None:
    session = client.sessions.create(setup())

    refused = emulator.pay(session.id, card=card, authentication=answer)

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, code)
    intent = client.setups.retrieve(str(session.setup_intent))
    assert intent.status == "requires_payment_method"
    assert intent.last_setup_error is not None
    assert intent.last_setup_error.code == code
    assert client.sessions.retrieve(session.id).status == "open"


def test_it_cancels_the_setup_of_a_session_that_expired(client: Client) -> None:
    session = client.sessions.create(setup())

    client.sessions.expire(session.id)

    assert client.setups.retrieve(str(session.setup_intent)).status == "canceled"


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"currency": "dollars"}, None, "currency"),
        ({"line_items": [{"price": "price_1", "quantity": 1}]}, None, "line_items"),
        ({"payment_intent_data": {"description": "x"}}, None, "payment_intent_data"),
    ],
)
def test_it_refuses_what_does_not_belong_to_a_setup(
    client: Client, changes: dict[str, object], code: str | None, param: str
) -> None:
    error = refusal(lambda: client.sessions.create(setup(**changes)))

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.code, error.param) == (400, code, param)


def test_it_attaches_a_test_card_and_detaches_it_for_good(client: Client) -> None:
    alice = client.customers.create({})

    method = client.methods.attach("pm_card_visa", {"customer": alice.id})
    detached = client.methods.detach(method.id)
    again = refusal(lambda: client.methods.attach(method.id, {"customer": alice.id}))

    assert (method.customer, detached.customer) == (alice.id, None)
    assert (again.http_status, again.code) == (400, "payment_method_unexpected_state")
    assert client.methods.list({"customer": alice.id}).data == []


def test_it_knows_a_method_by_its_customer_only(client: Client) -> None:
    alice, bob = client.customers.create({}), client.customers.create({})
    method = client.methods.attach("pm_card_visa", {"customer": alice.id})

    hers = client.customers.payment_methods.retrieve(alice.id, method.id)
    his = refusal(lambda: client.customers.payment_methods.retrieve(bob.id, method.id))
    stolen = refusal(lambda: client.methods.attach(method.id, {"customer": bob.id}))

    assert hers.id == method.id
    assert (his.http_status, his.code) == (404, "resource_missing")
    assert stolen.http_status == 400


def test_it_attaches_no_card_that_its_bank_declines(client: Client) -> None:
    alice = client.customers.create({})

    error = refusal(lambda: client.methods.attach("pm_card_chargeDeclined", {"customer": alice.id}))

    assert isinstance(error, stripe.CardError)
    assert client.customers.payment_methods.list(alice.id).data == []
