"""A request's receipt, as a program reads it."""

from collections.abc import Callable
from typing import Any

import httpx

from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.pushes import push_if_possible
from billing.ledger.wallets import wallet_of
from proxy.database import in_database
from tests.proxy.conftest import Api, Customer, assert_envelope, until


async def read(api: Api, customer: Customer, request_id: str) -> httpx.Response:
    return await api.client.get(f"/v1/usage/{request_id}", headers=customer.headers)


async def test_it_explains_what_a_request_was_charged(api: Api, alice: Customer) -> None:
    answer = await api.chat(alice, max_tokens=20)
    await alice.record()

    response = await read(api, alice, answer.headers["x-request-id"])

    receipt: dict[str, Any] = response.json()
    usage = answer.json()["usage"]
    assert response.status_code == 200
    assert receipt["status"] == "booked"
    assert receipt["usage"]["prompt_tokens"] == usage["prompt_tokens"]
    assert receipt["usage"]["total_tokens"] == usage["total_tokens"]
    assert [line["class"] for line in receipt["lines"]] == ["prompt", "completion"]
    total = sum(line["tokens"] * line["rate_millicredits"] for line in receipt["lines"])
    assert total == receipt["sum_millicredits"]
    assert receipt["charged_credits"] == usage["total_tokens"]
    assert receipt["held_credits"] == receipt["charged_credits"] + receipt["released_credits"]
    assert receipt["counted_by"] == "reported"


async def test_it_knows_the_charge_before_the_books_do(api: Api, alice: Customer) -> None:
    answer = await api.chat(alice)

    receipt = (await read(api, alice, answer.headers["x-request-id"])).json()

    assert receipt["status"] == "settled"
    assert receipt["charged_credits"] == answer.json()["usage"]["total_tokens"]


async def test_it_tells_that_a_request_still_runs(api: Api, alice: Customer) -> None:
    await api.sell("fault-stall-2")
    body = {"model": "fault-stall-2", "messages": [{"role": "user", "content": "Hello!"}]}
    async with api.client.stream(
        "POST", "/v1/chat/completions", headers=alice.headers, json={**body, "stream": True}
    ) as stream:
        await until(lambda: len(api.runtime.inflight))
        receipt = (await read(api, alice, stream.headers["x-request-id"])).json()

    assert receipt["status"] == "running"
    assert receipt["held_credits"] > 0
    assert receipt["charged_credits"] == 0


async def test_it_shows_a_request_to_nobody_else(
    api: Api, alice: Customer, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=10)
    other = await in_database(_another_key, alice)
    answer = await api.chat(alice)
    request_id = answer.headers["x-request-id"]

    before = [await read(api, stranger, request_id) for stranger in (bob, other)]
    await alice.record()
    after = [await read(api, stranger, request_id) for stranger in (bob, other)]

    for response in [*before, *after]:
        assert response.status_code == 404
        assert_envelope(response, code="not_found")


async def test_a_request_that_no_model_accepted_has_none(api: Api, alice: Customer) -> None:
    answer = await api.chat(alice, model="gpt-9")

    response = await read(api, alice, answer.headers["x-request-id"])

    assert response.status_code == 404
    assert "cost nothing" in assert_envelope(response, code="not_found")


def _another_key(customer: Customer) -> Customer:
    key, secret = issue_api_key(own_seat(customer.user), name="another")
    push_if_possible(wallet_of(customer.user).pk)
    return Customer(customer.user, key, secret)
