"""The order of the gate: who calls, whose turn it is, and only then what was sent."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from accounts.secrets import make_secret
from proxy.errors import ServerBusy
from proxy.http import bodies
from proxy.http.bodies import BodyBudget
from proxy.parsing.jsonbody import COUNTED_BYTES, MAX_CONTAINERS
from tests.proxy.accounts import limit
from tests.proxy.conftest import Api, Customer, assert_envelope, until
from tests.proxy.wire import Client, assert_refused

LARGE = 2 * COUNTED_BYTES
PADDED = b'{"model":"gpt-4","messages":[{"role":"user","content":"Hello!"}],"user":"%b"}' % (
    b"x" * LARGE
)


async def begin(api: Api, secret: str, *, length: int, body: bytes = b"") -> Client:
    """Send the head of a request and a part of its body."""
    client = await Client.connect(urlsplit(api.base_url).port or 0)
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n" % (secret.encode(), length) + body
    )
    return client


async def post(api: Api, customer: Customer, body: bytes) -> httpx.Response:
    headers = {**customer.headers, "content-type": "application/json"}
    return await api.client.post("/v1/chat/completions", headers=headers, content=body)


@pytest.mark.parametrize("secret", ["tp_live_typo", make_secret().text], ids=["typo", "unknown"])
async def test_a_wrong_key_is_refused_before_a_byte_of_the_body(api: Api, secret: str) -> None:
    client = await begin(api, secret, length=5_000_000)

    answer = await client.read_answer()
    await client.close()

    assert_refused(answer, 401, "invalid_api_key")


async def test_a_path_that_is_not_there_is_refused_before_the_body(
    api: Api, alice: Customer
) -> None:
    client = await Client.connect(urlsplit(api.base_url).port or 0)
    client.send(b"POST /v1/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n")

    answer = await client.read_answer()
    await client.close()

    assert_refused(answer, 404, "not_found")


async def test_a_large_body_waits_for_its_keys_turn_before_it_is_read(
    api: Api, alice: Customer
) -> None:
    await limit(alice, requests_per_minute=1)
    served = await api.chat(alice)
    client = await begin(api, alice.secret, length=LARGE)

    answer = await client.read_answer()
    await client.close()

    assert served.status_code == 200
    assert_refused(answer, 429, "rate_limit_exceeded")


async def test_a_large_request_takes_one_turn_in_all(api: Api, alice: Customer) -> None:
    await limit(alice, requests_per_minute=2)

    first = await post(api, alice, PADDED)

    assert first.status_code == 200
    assert first.headers["x-ratelimit-remaining-requests"] == "1"


async def test_a_large_body_that_is_refused_takes_a_turn(api: Api, alice: Customer) -> None:
    await limit(alice, requests_per_minute=2)

    refused = await post(api, alice, b'{"user":"%b"}' % (b"x" * LARGE))
    after = await api.chat(alice)

    assert refused.status_code == 400
    assert after.headers["x-ratelimit-remaining-requests"] == "0"


async def test_small_refusals_are_not_free_beyond_the_first(api: Api, alice: Customer) -> None:
    await limit(alice, requests_per_minute=2)

    refused = [await post(api, alice, b"{}") for _ in range(4)]

    assert [response.status_code for response in refused] == [400, 400, 400, 429]


async def test_a_request_after_a_refusal_takes_one_turn_in_all(api: Api, alice: Customer) -> None:
    await limit(alice, requests_per_minute=3)
    await post(api, alice, b"{}")

    left = [(await api.chat(alice)).headers["x-ratelimit-remaining-requests"] for _ in range(2)]

    assert left == ["2", "1"]


async def test_a_wide_body_is_refused_before_the_rest_of_it_has_come(
    api: Api, alice: Customer
) -> None:
    body = b'{"x":[' + b"[]," * 2 * MAX_CONTAINERS
    client = await begin(api, alice.secret, length=5_000_000, body=body)

    answer = await client.read_answer()
    await client.close()

    assert_refused(answer, 400, "body_too_complex")


async def test_a_wide_body_of_no_told_length_is_refused_while_it_comes(
    api: Api, alice: Customer
) -> None:
    part = b'{"x":[' + b"[]," * 4 * MAX_CONTAINERS
    client = await Client.connect(urlsplit(api.base_url).port or 0)
    client.send(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
        % (alice.secret.encode(), len(part), part)
    )

    answer = await client.read_answer()
    await client.close()

    assert_refused(answer, 400, "body_too_complex")


async def test_a_body_that_stops_is_timed_out_and_gives_its_share_back(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALL_S", 0.3)
    client = await begin(api, alice.secret, length=LARGE, body=PADDED[: LARGE - 1])

    answer = await client.read_answer()
    await client.close()

    assert_refused(answer, 408, "request_timeout")
    assert api.runtime.bodies.used_bytes == 0


async def test_a_body_that_trickles_has_a_deadline_in_all(
    api: Api, alice: Customer, settings: Any
) -> None:
    settings.BODY_TIMEOUT_S = 0.5
    client = await begin(api, alice.secret, length=LARGE)
    reading = asyncio.create_task(client.read_answer())

    while not reading.done():
        client.send(b" ")
        await asyncio.sleep(0.05)
    await client.close()

    assert_refused(await reading, 408, "request_timeout")


async def test_large_bodies_share_a_budget_and_small_ones_need_none(
    api: Api, alice: Customer
) -> None:
    api.runtime.bodies = BodyBudget(LARGE)

    refused = await post(api, alice, PADDED)
    small = await api.chat(alice)

    assert_envelope(refused, code="server_busy")
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "1"
    assert small.status_code == 200
    assert api.runtime.bodies.used_bytes == 0


async def test_small_bodies_share_the_budget_while_their_rest_is_waited_for(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALL_S", 2.0)
    api.runtime.bodies = BodyBudget(1_000)
    begun = await begin(api, alice.secret, length=2_000, body=b" " * 400)
    await until(lambda: api.runtime.bodies.used_bytes == 400)
    refused = await begin(api, alice.secret, length=2_000, body=b" " * 400)

    answers = [await client.read_answer() for client in (refused, begun)]
    whole = await api.chat(alice)
    for client in (refused, begun):
        await client.close()

    assert_refused(answers[0], 503, "server_busy")
    assert_refused(answers[1], 408, "request_timeout")
    assert whole.status_code == 200
    assert api.runtime.bodies.used_bytes == 0


async def test_a_body_gives_its_share_back_once_its_hold_is_placed(
    api: Api, alice: Customer
) -> None:
    api.runtime.bodies = BodyBudget(3 * LARGE)
    headers = {**alice.headers, "content-type": "application/json"}
    body = PADDED[:-1] + b',"stream":true}'

    async with api.client.stream(
        "POST", "/v1/chat/completions", headers=headers, content=body
    ) as response:
        used = api.runtime.bodies.used_bytes

    assert (response.status_code, used) == (200, 0)


def test_one_owner_gets_half_of_the_budget() -> None:
    budget = BodyBudget(100)
    budget.take("alice", 50)

    with pytest.raises(ServerBusy):
        budget.take("alice", 1)
    budget.take("bob", 50)
    with pytest.raises(ServerBusy):
        budget.take("carol", 1)
    budget.give_back("alice", 50)
    budget.take("carol", 50)

    assert budget.used_bytes == 100
