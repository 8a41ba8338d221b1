from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import stripe

from sandbox.stripe import idempotency
from sandbox.stripe.store import open_store
from tests.sandbox.stripe.driver import Client, Emulator, order, refusal


def test_it_replays_the_first_answer(client: Client) -> None:
    first = client.sessions.create(order(), {"idempotency_key": "order-7"})
    again = client.sessions.create(order(), {"idempotency_key": "order-7"})

    assert again.id == first.id
    assert again.last_response is not None
    assert first.last_response is not None
    assert again.last_response.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.last_response.headers
    assert again.last_response.request_id != first.last_response.request_id
    assert len(client.sessions.list().data) == 1


def test_it_replays_after_a_restart(emulator: Emulator) -> None:
    first = emulator.client.sessions.create(order(), {"idempotency_key": "order-7"})

    emulator.restart()

    again = emulator.client.sessions.create(order(), {"idempotency_key": "order-7"})
    assert again.id == first.id


def test_it_refuses_the_key_for_other_parameters(client: Client) -> None:
    client.sessions.create(order(), {"idempotency_key": "order-7"})

    error = refusal(
        lambda: client.sessions.create(
            order(client_reference_id="order-8"), {"idempotency_key": "order-7"}
        )
    )

    assert isinstance(error, stripe.IdempotencyError)
    assert error.http_status == 400
    assert len(client.sessions.list().data) == 1


def test_it_refuses_the_key_for_another_endpoint(client: Client) -> None:
    client.sessions.create(order(), {"idempotency_key": "order-7"})

    error = refusal(lambda: client.customers.create({}, {"idempotency_key": "order-7"}))

    assert isinstance(error, stripe.IdempotencyError)
    assert "'/v1/checkout/sessions'" in str(error.user_message)


def test_it_replays_a_refusal_of_what_ran(emulator: Emulator, client: Client) -> None:
    paid = emulator.paid()
    assert isinstance(paid.payment_intent, stripe.PaymentIntent)
    given = {"payment_intent": paid.payment_intent.id, "amount": 1251}

    answers = [
        emulator.post(
            "/v1/refunds", {k: str(v) for k, v in given.items()}, **{"Idempotency-Key": "r"}
        )
        for _ in range(2)
    ]

    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[1].headers["idempotent-replayed"] == "true"
    assert answers[0].json() == answers[1].json()


def test_it_gives_the_key_back_when_it_refused_the_parameters(client: Client) -> None:
    refusal(lambda: client.sessions.create(order(mode=None), {"idempotency_key": "order-7"}))

    session = client.sessions.create(order(), {"idempotency_key": "order-7"})

    assert session.status == "open"


def test_it_refuses_a_key_that_is_too_long(emulator: Emulator) -> None:
    answer = emulator.post("/v1/customers", {}, **{"Idempotency-Key": "k" * 256})

    assert answer.status_code == 400


def test_it_lets_one_of_many_at_once_through(emulator: Emulator) -> None:
    emulator.control("latency", seconds=0.5)

    def create(_: int) -> int:
        return emulator.post(
            "/v1/customers", {"name": "Alice"}, **{"Idempotency-Key": "a"}
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(create, range(8)))

    # Whoever comes while the first is under way is told so; whoever comes later gets its answer.
    assert 409 in statuses
    assert set(statuses) == {200, 409}
    assert len(emulator.client.customers.list().data) == 1


def test_it_forgets_a_claim_whose_process_died(tmp_path: Path) -> None:
    store = open_store(tmp_path, (idempotency.SCHEMA,))
    claimed = {"path": "/v1/customers", "params": {}, "request_id": "req_1", "now": 1}
    assert idempotency.claim(store, "a", **claimed) is None  # type: ignore[arg-type]

    idempotency.drop_unanswered(store)

    assert idempotency.claim(store, "a", **claimed) is None  # type: ignore[arg-type]
    store.close()


def test_it_forgets_an_answer_after_a_day(tmp_path: Path) -> None:
    store = open_store(tmp_path, (idempotency.SCHEMA,))
    claimed = {"path": "/v1/customers", "params": {}, "request_id": "req_1"}
    idempotency.claim(store, "a", now=0, **claimed)  # type: ignore[arg-type]
    idempotency.answer(store, "a", status=200, body={"id": "cus_1"})

    idempotency.drop_old(store, now=86_400)
    kept = idempotency.claim(store, "a", now=0, **claimed)  # type: ignore[arg-type]
    idempotency.drop_old(store, now=86_401)
    dropped = idempotency.claim(store, "a", now=0, **claimed)  # type: ignore[arg-type]
    store.close()

    assert (kept and kept.body, dropped) == ({"id": "cus_1"}, None)


def test_it_replays_a_failure_of_its_own(emulator: Emulator) -> None:
    form, key = {"name": "Alice"}, {"Idempotency-Key": "a"}
    with emulator.failing("event", "$.type", "customer.created"):
        broken = emulator.post("/v1/customers", form, **key)

    again = emulator.post("/v1/customers", form, **key)
    under_another_key = emulator.post("/v1/customers", form, **{"Idempotency-Key": "b"})

    assert (broken.status_code, broken.json()["error"]["type"]) == (500, "api_error")
    assert (again.status_code, again.json()) == (500, broken.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert under_another_key.status_code == 200
    assert emulator.state()["objects"] == {"customer": 1, "event": 1}
