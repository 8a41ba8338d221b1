import pytest

from tests.sandbox.stripe.driver import Client, Emulator, setup

FORM = {
    "email": "alice@example.com",
    "number": "4242 4242 4242 4242",
    "expiry": "12 / 34",
    "cvc": "123",
    "name": "Alice",
    "action": "pay",
}


def test_it_shows_what_is_bought_and_how_to_leave(emulator: Emulator) -> None:
    session = emulator.session()

    page = emulator.http.get(str(session.url))

    assert page.status_code == 200
    assert "Starter pack" in page.text
    assert "1,000,000 tokens" in page.text
    assert "Pay $12.50" in page.text
    assert "4242 4242 4242 4242" in page.text
    assert 'href="http://shop.example/packs/"' in page.text
    assert "no real money" in page.text


def test_it_returns_to_the_shop_after_paying(emulator: Emulator, client: Client) -> None:
    session = emulator.session()

    answer = emulator.http.post(f"/c/pay/{session.id}", data=FORM)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"http://shop.example/return?session={session.id}"
    paid = client.sessions.retrieve(session.id)
    assert paid.payment_status == "paid"
    assert paid.customer_details is not None
    assert (paid.customer_details.email, paid.customer_details.name) == (
        "alice@example.com",
        "Alice",
    )


def test_it_says_why_a_card_was_declined_and_lets_the_customer_retry(
    emulator: Emulator, client: Client
) -> None:
    session = emulator.session()

    declined = emulator.http.post(f"/c/pay/{session.id}", data={**FORM, "action": "decline"})
    retried = emulator.http.post(f"/c/pay/{session.id}", data=FORM)

    assert declined.status_code == 402
    assert "Your card was declined." in declined.text
    assert 'value="alice@example.com"' in declined.text
    assert retried.status_code == 303


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"email": ""}, "enter your e-mail"),
        ({"email": "alice"}, "Invalid email address"),
        ({"number": "4242"}, "card number is invalid"),
        ({"expiry": "13 / 34"}, "expiration date is invalid"),
        ({"expiry": "01 / 20"}, "expiration date is in the past"),
        ({"cvc": "x"}, "security code is invalid"),
    ],
)
def test_it_charges_nothing_for_a_mistyped_form(
    emulator: Emulator, client: Client, change: dict[str, str], message: str
) -> None:
    session = emulator.session()

    page = emulator.http.post(f"/c/pay/{session.id}", data={**FORM, **change})

    assert page.status_code == 400
    # The apostrophe of "Your card's" is escaped.
    assert message in page.text
    assert client.charges.list().data == []


def test_it_keeps_the_address_that_the_shop_gave(emulator: Emulator, client: Client) -> None:
    session = emulator.session(customer_email="alice@example.com")

    emulator.http.post(f"/c/pay/{session.id}", data={**FORM, "email": "mallory@example.com"})

    details = client.sessions.retrieve(session.id).customer_details
    assert details is not None
    assert details.email == "alice@example.com"


def test_it_says_so_when_the_session_is_paid_or_expired(emulator: Emulator, client: Client) -> None:
    paid, expired = emulator.paid(), emulator.session()
    client.sessions.expire(expired.id)

    pages = [
        emulator.http.get(f"/c/pay/{paid.id}"),
        emulator.http.post(f"/c/pay/{paid.id}", data=FORM),
        emulator.http.get(f"/c/pay/{expired.id}"),
        emulator.http.post(f"/c/pay/{expired.id}", data=FORM),
        emulator.http.get("/c/pay/cs_test_unknown"),
    ]

    assert [page.status_code for page in pages] == [200, 409, 200, 409, 404]
    assert "Already paid" in pages[1].text
    assert "has expired" in pages[3].text
    assert len(client.charges.list().data) == 1


def test_it_escapes_what_the_shop_and_the_customer_wrote(emulator: Emulator) -> None:
    evil = "<script>alert(1)</script>"
    data = {"currency": "usd", "unit_amount": 500, "product_data": {"name": evil}}
    session = emulator.session(
        line_items=[{"price_data": data, "quantity": 1}], client_reference_id=evil
    )

    form = {**FORM, "name": f'"{evil}', "action": "decline"}
    pages = [
        emulator.http.post(f"/c/pay/{session.id}", data=form).text,
        emulator.http.get("/sandbox/").text,
    ]

    assert ["<script" in page for page in pages] == [False, False]
    assert "&lt;script&gt;" in pages[0]


def test_it_shows_sessions_deliveries_and_calls(emulator: Emulator, client: Client) -> None:
    session = emulator.session()
    client.sessions.create(setup())
    event_id = client.events.list().data
    emulator.pay(session.id)

    page = emulator.http.get("/sandbox/").text

    assert [event.type for event in event_id] == ["setup_intent.created"]
    assert f"/c/pay/{session.id}" in page
    assert "checkout.session.completed" in page
    assert "POST /v1/checkout/sessions" in page


def test_it_expires_a_session_from_the_control_page(emulator: Emulator, client: Client) -> None:
    session = emulator.session()

    # What a browser sends for a form of one button.
    empty = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = emulator.http.post(f"/sandbox/checkout/{session.id}/expire", headers=empty)

    assert (answer.status_code, answer.headers["location"]) == (303, "/sandbox/")
    assert client.sessions.retrieve(session.id).status == "expired"


def test_it_shows_an_event(emulator: Emulator, client: Client) -> None:
    client.customers.create({"name": "Alice"})
    event = client.events.list().data[0]

    page = emulator.http.get(f"/sandbox/events/{event.id}")

    assert page.status_code == 200
    assert "customer.created" in page.text


@pytest.mark.parametrize("path", ["/sandbox/events/evt_unknown", "/receipts/ch_unknown"])
def test_it_answers_404_for_what_is_not_there(emulator: Emulator, path: str) -> None:
    assert emulator.http.get(path).status_code == 404
