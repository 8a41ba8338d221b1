"""Which upstream serves a request, and which is asked next."""

from collections import Counter

import pytest

from proxy.database import in_database
from proxy.upstreams.attempts import in_order
from proxy.upstreams.routes import UpstreamRoute
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import HELLO, UPSTREAM_KEY, Api, Customer, Sandbox
from tests.proxy.upstreams.first_provider import add_first
from tests.proxy.upstreams.stage import make_route, make_upstream


def route(name: str, *, priority: int = 0, weight: int = 1) -> UpstreamRoute:
    return make_route(make_upstream(name), priority=priority, weight=weight)


def test_it_tries_the_lower_priority_first() -> None:
    routes = (route("third", priority=2), route("first"), route("second", priority=1))

    ordered = [item.upstream.name for item in in_order(routes)]

    assert ordered == ["first", "second", "third"]


def test_it_shares_the_traffic_by_weight() -> None:
    routes = (route("big", weight=3), route("small", weight=1))

    first = Counter(in_order(routes)[0].upstream.name for _ in range(4_000))

    # 3,000 expected; seven standard deviations are 192.
    assert 2_808 < first["big"] < 3_192


@pytest.mark.parametrize(
    "fault",
    [
        "fault-401",
        "fault-402-quota",
        "fault-429",
        "fault-500",
        "fault-503",
        "fault-redirect",
        "fault-refuse",
        "fault-unknown-model",
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_it_asks_the_next_upstream_if_the_first_refuses(
    api: Api, alice: Customer, upstream: Sandbox, fault: str, stream: bool
) -> None:
    await in_database(add_first, upstream, fault)
    await api.runtime.catalogue.refresh()

    response = await api.chat(alice, max_tokens=10, stream=stream)

    record = await alice.record()
    assert response.status_code == 200
    assert record is not None
    assert (record.provider_name, record.attempts) == ("sandbox", 2)
    assert (record.outcome, record.completion_tokens) == ("completed", 10)


async def test_it_asks_the_next_upstream_if_the_first_is_not_there(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    # Port 9 is "discard", where nobody listens.
    await in_database(add_first, upstream, "gpt-4", base_url="http://127.0.0.1:9/v1")
    await api.runtime.catalogue.refresh()

    response = await api.chat(alice)

    record = await alice.record()
    assert response.status_code == 200
    assert record is not None
    assert (record.provider_name, record.attempts) == ("sandbox", 2)


@pytest.mark.parametrize(
    ("fault", "status"),
    [("fault-cut", 502), ("fault-not-json", 502), ("fault-slow-first-byte-30", 504)],
)
async def test_it_does_not_ask_another_for_what_the_first_may_have_run(
    api: Api, alice: Customer, upstream: Sandbox, fault: str, status: int
) -> None:
    await in_database(add_first, upstream, fault)
    await api.limit_providers(total_timeout_s=1)

    response = await api.chat(alice)

    assert response.status_code == status
    assert (await upstream.served())["completed"] == 0


async def test_it_does_not_ask_another_for_what_is_the_clients_fault(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    refusal = json_answer(400, {"error": {"message": "Bad seed.", "param": "seed", "code": None}})
    async with serve_canned(refusal) as canned:
        await in_database(add_first, upstream, "gpt-4", base_url=canned.base_url)
        await api.runtime.catalogue.refresh()

        response = await api.chat(alice, seed=7)

    assert response.status_code == 400
    assert response.json()["error"] == {
        "message": "Bad seed.",
        "type": "invalid_request_error",
        "param": "seed",
        "code": None,
    }
    assert (await upstream.served())["received"] == 0
    assert await alice.record() is None
    assert (await alice.balance()).held_credits == 0


async def test_it_sends_the_upstream_our_key_and_nothing_of_the_clients(
    api: Api, alice: Customer
) -> None:
    async with serve_canned(json_answer(200, {"choices": []})) as canned:
        await api.send_to(canned.base_url)

        response = await api.client.post(
            "/v1/chat/completions",
            headers={**alice.headers, "x-forwarded-for": "1.2.3.4", "cookie": "a=b"},
            json={"model": "gpt-4", "messages": HELLO},
        )

    sent = canned.requests[0].decode()
    assert f"Bearer {UPSTREAM_KEY}" in sent
    assert response.headers["x-request-id"] in sent
    assert alice.secret not in sent
    assert "1.2.3.4" not in sent
    assert "cookie" not in sent.lower()


@pytest.mark.parametrize(
    ("fault", "status"),
    [("fault-401", 503), ("fault-402-quota", 503), ("fault-429", 503), ("fault-500", 502)],
)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_it_shows_nothing_of_an_upstreams_trouble(
    api: Api, alice: Customer, fault: str, status: int, stream: bool
) -> None:
    await api.sell(fault)

    response = await api.chat(alice, fault, stream=stream)

    everything = f"{response.headers} {response.text}".lower()
    assert response.status_code == status
    for secret in ("canary", "sk-", "org-", "sandbox", api.upstream.url.removeprefix("http://")):
        assert secret not in everything
