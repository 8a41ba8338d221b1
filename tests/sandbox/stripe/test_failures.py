"""Stripe has trouble of its own, for as many calls as it is told to."""

import stripe

from tests.sandbox.stripe.driver import Emulator, refusal


def test_it_fails_before_anything_happened(emulator: Emulator) -> None:
    emulator.control("failures", times=1, when="before")

    error = refusal(lambda: emulator.client.customers.create({"name": "Alice"}))
    emulator.client.customers.create({"name": "Bob"})

    assert isinstance(error, stripe.APIError)
    assert [found.name for found in emulator.client.customers.list().data] == ["Bob"]


def test_it_fails_although_it_happened(emulator: Emulator) -> None:
    emulator.control("failures", times=1, when="after")

    error = refusal(lambda: emulator.client.customers.create({"name": "Alice"}))

    assert error.http_status == 500
    assert [found.name for found in emulator.client.customers.list().data] == ["Alice"]


def test_it_keeps_failing_under_the_key_that_failed(emulator: Emulator) -> None:
    emulator.control("failures", times=1, when="after")
    key = {"Idempotency-Key": "a"}

    first = emulator.post("/v1/customers", {"name": "Alice"}, **key)
    second = emulator.post("/v1/customers", {"name": "Alice"}, **key)

    assert (first.status_code, second.status_code) == (500, 500)
    assert len(emulator.client.customers.list().data) == 1


def test_it_forgets_a_key_that_came_too_fast(emulator: Emulator) -> None:
    emulator.control("failures", times=1, status=429)
    key = {"Idempotency-Key": "a"}

    first = emulator.post("/v1/customers", {"name": "Alice"}, **key)
    second = emulator.post("/v1/customers", {"name": "Alice"}, **key)

    assert (first.status_code, first.json()["error"]["code"]) == (429, "rate_limit")
    assert second.status_code == 200


def test_it_fails_only_the_calls_that_are_meant(emulator: Emulator) -> None:
    emulator.control("failures", times=5, method="post", path="/v1/refunds")

    created = emulator.post("/v1/customers", {"name": "Alice"})
    refund = emulator.post("/v1/refunds", {"charge": "ch_1"})

    assert (created.status_code, refund.status_code) == (200, 500)
    assert emulator.state()["failures"]["times"] == 4


def test_it_is_well_again_when_told_so(emulator: Emulator) -> None:
    emulator.control("failures", times=5)

    emulator.control("failures", times=0)

    assert emulator.post("/v1/customers", {"name": "Alice"}).status_code == 200


def test_it_refuses_a_failure_that_makes_no_sense(emulator: Emulator) -> None:
    for wrong in ({"status": 200}, {"times": -1}, {"when": "never"}, {"what": 1}):
        answer = emulator.http.post("/sandbox/failures", json=wrong)
        assert answer.status_code == 400, wrong
