"""What every endpoint has in common: keys, versions, envelopes, forms, expansion, pages."""

import base64

import pytest
import stripe

from sandbox.stripe import forms
from sandbox.stripe.errors import InvalidParameter
from tests.sandbox.stripe.driver import API_KEY, Client, Emulator, order, refusal


def test_it_takes_the_key_as_bearer_and_as_basic(emulator: Emulator) -> None:
    basic = base64.b64encode(f"{API_KEY}:".encode()).decode()

    answers = [
        emulator.http.get("/v1/balance", headers={"Authorization": f"Bearer {API_KEY}"}),
        emulator.http.get("/v1/balance", headers={"Authorization": f"Basic {basic}"}),
    ]

    assert [answer.status_code for answer in answers] == [200, 200]


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer sk_test_wrong", "Basic !", "Basic YQ=="])
def test_it_refuses_any_other_key(emulator: Emulator, header: str) -> None:
    answer = emulator.http.get("/v1/balance", headers={"Authorization": header})

    assert answer.status_code == 401
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.headers["www-authenticate"] == 'Basic realm="Stripe"'


def test_it_does_not_repeat_a_wrong_key(emulator: Emulator) -> None:
    secret = "sk_test_51ThisWasSomeonesRealKeyOnce"
    wrong = emulator.new_client(secret)

    error = refusal(wrong.customers.list)
    wrong.close()

    assert isinstance(error, stripe.AuthenticationError)
    assert secret not in str(error)
    assert secret not in emulator.http.get("/sandbox/").text


def test_it_names_every_request(emulator: Emulator, client: Client) -> None:
    customer = client.customers.create({})
    answer = emulator.http.get("/v1/nothing", headers={"Authorization": f"Bearer {API_KEY}"})

    assert customer.last_response is not None
    assert str(customer.last_response.request_id).startswith("req_")
    assert answer.headers["request-id"] != customer.last_response.request_id
    assert answer.headers["request-id"] in answer.json()["error"]["request_log_url"]


def test_it_echoes_the_version_and_refuses_a_malformed_one(emulator: Emulator) -> None:
    auth = {"Authorization": f"Bearer {API_KEY}"}

    default = emulator.http.get("/v1/balance", headers=auth)
    older = emulator.http.get(
        "/v1/balance", headers={**auth, "Stripe-Version": "2025-01-27.acacia"}
    )
    wrong = emulator.http.get("/v1/balance", headers={**auth, "Stripe-Version": "latest"})

    assert default.headers["stripe-version"] == stripe.api_version
    assert older.headers["stripe-version"] == "2025-01-27.acacia"
    assert wrong.status_code == 400


def test_it_answers_404_for_a_url_it_does_not_have(emulator: Emulator) -> None:
    answer = emulator.post("/v1/customer", {})

    assert answer.status_code == 404
    assert "Unrecognized request URL (POST: /v1/customer)" in answer.json()["error"]["message"]


def test_it_refuses_json(emulator: Emulator) -> None:
    answer = emulator.http.post(
        "/v1/customers",
        json={"email": "a@example.com"},
        headers={"Authorization": f"Bearer {API_KEY}"},
    )

    assert answer.status_code == 400
    assert "application/x-www-form-urlencoded" in answer.json()["error"]["message"]


def test_it_refuses_a_body_without_end(emulator: Emulator, client: Client) -> None:
    answer = emulator.post("/v1/customers", {"description": "x" * 1_100_000})

    assert answer.status_code == 400
    assert client.customers.list().data == []


def test_it_expands_what_stripe_expands(emulator: Emulator, client: Client) -> None:
    alice = client.customers.create({"email": "alice@example.com"})
    paid = emulator.paid(customer=alice.id)

    session = client.sessions.retrieve(
        paid.id,
        {
            "expand": [
                "customer",
                "line_items",
                "line_items.data.price.product",
                "payment_intent.latest_charge.refunds",
            ]
        },
    )

    assert isinstance(session.customer, stripe.Customer)
    assert session.customer.email == "alice@example.com"
    assert session.line_items is not None
    product = session.line_items.data[0].price.product  # type: ignore[union-attr]
    assert isinstance(product, stripe.Product)
    assert product.description == "1,000,000 tokens"
    assert isinstance(session.payment_intent, stripe.PaymentIntent)
    assert isinstance(session.payment_intent.latest_charge, stripe.Charge)
    assert session.payment_intent.latest_charge.refunds is not None
    assert session.payment_intent.latest_charge.refunds.data == []


def test_it_expands_inside_a_list(emulator: Emulator, client: Client) -> None:
    emulator.paid()

    session = client.sessions.list({"expand": ["data.payment_intent"]}).data[0]

    assert isinstance(session.payment_intent, stripe.PaymentIntent)


@pytest.mark.parametrize("path", ["amount_total", "metadata.x", "nonsense", "a.b.c.d.e"])
def test_it_refuses_to_expand_what_stripe_does_not(
    emulator: Emulator, client: Client, path: str
) -> None:
    session = emulator.session()

    error = refusal(lambda: client.sessions.retrieve(session.id, {"expand": [path]}))

    assert (error.http_status, isinstance(error, stripe.InvalidRequestError)) == (400, True)


def test_it_creates_nothing_when_it_refuses_an_expansion(
    emulator: Emulator, client: Client
) -> None:
    error = refusal(lambda: client.sessions.create(order(expand=["nonsense"])))

    assert error.http_status == 400
    assert client.sessions.list().data == []


def test_it_pages_forwards_and_backwards(client: Client) -> None:
    ids = [client.customers.create({"name": f"Customer {n}"}).id for n in range(5)][::-1]

    first = client.customers.list({"limit": 2})
    second = client.customers.list({"limit": 2, "starting_after": first.data[-1].id})
    third = client.customers.list({"limit": 2, "starting_after": second.data[-1].id})
    back = client.customers.list({"limit": 2, "ending_before": third.data[0].id})

    assert [[c.id for c in page.data] for page in (first, second, third)] == [
        ids[:2],
        ids[2:4],
        ids[4:],
    ]
    assert (first.has_more, second.has_more, third.has_more) == (True, True, False)
    assert ([c.id for c in back.data], back.has_more) == (ids[2:4], True)


def test_it_serves_the_sdks_auto_paging(client: Client) -> None:
    ids = [client.customers.create({}).id for _ in range(5)]

    seen = [customer.id for customer in client.customers.list({"limit": 2}).auto_paging_iter()]

    assert seen == ids[::-1]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"starting_after": "cus_unknown"}, "starting_after"),
        ({"created": {"since": 1}}, "created[since]"),
        ({"created": "yesterday"}, "created"),
    ],
)
def test_it_refuses_a_malformed_page(client: Client, params: dict[str, object], param: str) -> None:
    error = refusal(lambda: client.customers.list(params))  # type: ignore[arg-type]

    assert isinstance(error, stripe.InvalidRequestError)
    assert (error.http_status, error.param) == (400, param)


def test_it_filters_by_creation_time(emulator: Emulator, client: Client) -> None:
    old = client.customers.create({})
    emulator.control("clock", advance_seconds=100)
    new = client.customers.create({})

    after = client.customers.list({"created": {"gt": old.created}}).data
    until = client.customers.list({"created": {"lte": old.created}}).data

    assert [customer.id for customer in after] == [new.id]
    assert [customer.id for customer in until] == [old.id]


def test_it_reads_brackets_exactly() -> None:
    text = "line_items[0][price_data][currency]=usd&metadata[a%5Bb]=x"

    with pytest.raises(InvalidParameter):
        forms.parse(text)
    assert forms.parse("a[b][0][c]=1&a[b][1][c]=2%20%2B&d[]=x&d[]=y&e=") == {
        "a": {"b": {"0": {"c": "1"}, "1": {"c": "2 +"}}},
        "d": {"0": "x", "1": "y"},
        "e": "",
    }


@pytest.mark.parametrize(
    "text", ["a=1&a=2", "a=1&a[b]=2", "a[b]=1&a=2", "[a]=1", "a[=1", "a]=1", "a[b]c=1", "a", "&&"]
)
def test_it_refuses_a_form_that_means_two_things(text: str) -> None:
    with pytest.raises(InvalidParameter):
        forms.parse(text)


def test_it_refuses_arrays_with_holes(emulator: Emulator) -> None:
    form = {"mode": "payment", "line_items[1][quantity]": "1"}

    answer = emulator.post("/v1/checkout/sessions", form)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "line_items"
