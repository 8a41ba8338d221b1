"""The rate of requests that hold nothing: reads, estimates, orders, replays, and those who wait."""

import asyncio
from typing import Any

import httpx
import pytest

from billing.keys.api_keys import revoke_api_key
from billing.ledger.wallets import limit_wallet, wallet_of
from billing.wallet.sync_client import get_sync_client
from proxy.database import in_database
from tests.proxy.accounts import limit
from tests.proxy.conftest import HELLO, Api, Customer, Sandbox, assert_envelope

READING: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "models": ("GET", "/v1/models", None),
    "model": ("GET", "/v1/models/gpt-4", None),
    "credits": ("GET", "/v1/credits", None),
    "key": ("GET", "/v1/key", None),
    "receipt": ("GET", "/v1/usage/none", None),
    "estimate": ("POST", "/v1/estimate", {"model": "gpt-4", "messages": HELLO}),
    "checkout": ("POST", "/v1/checkout", {"pack": "none"}),
}
SLOWLY = [{"role": "user", "content": "[[tokens=12]] [[tps=10]]"}]


async def read(api: Api, customer: Customer, name: str) -> httpx.Response:
    method, path, body = READING[name]
    return await api.client.request(method, path, headers=customer.headers, json=body)


async def ask_once(api: Api, customer: Customer, **body: Any) -> httpx.Response:
    return await api.client.post(
        "/v1/chat/completions",
        headers=customer.headers | {"Idempotency-Key": "order-1"},
        json={"model": "gpt-4", "messages": HELLO, "max_tokens": 30} | body,
    )


async def count_calls() -> int:
    """Return how often Redis was asked for a hold."""

    def count() -> int:
        stats = get_sync_client().redis.info("commandstats")
        return int(stats["cmdstat_fcall"]["calls"])

    return await in_database(count)


@pytest.mark.parametrize("name", READING)
async def test_it_limits_the_requests_per_minute_that_hold_nothing(
    api: Api, alice: Customer, name: str
) -> None:
    await limit(alice, requests_per_minute=2)

    answers = [await read(api, alice, name) for _ in range(3)]

    assert [answer.status_code == 429 for answer in answers] == [False, False, True]
    message = assert_envelope(answers[2], code="rate_limit_exceeded")
    assert "2 requests per minute for this API key" in message
    assert 0 < int(answers[2].headers["retry-after"]) <= 30
    assert 0 < int(answers[2].headers["retry-after-ms"]) <= 30_000
    assert answers[2].headers["x-ratelimit-limit-requests"] == "2"
    assert answers[2].headers["x-ratelimit-remaining-requests"] == "0"
    assert "x-ratelimit-remaining-tokens" in answers[2].headers


async def test_reading_takes_nothing_of_what_models_may_be_asked(api: Api, alice: Customer) -> None:
    await limit(alice, requests_per_minute=2)

    read_three = [(await read(api, alice, "credits")).status_code for _ in range(3)]
    asked_three = [(await api.chat(alice, max_tokens=5)).status_code for _ in range(3)]

    assert read_three == asked_three == [200, 200, 429]


async def test_it_limits_what_all_keys_of_an_account_read(api: Api, alice: Customer) -> None:
    await in_database(
        lambda: limit_wallet(
            wallet_of(alice.user),
            requests_per_minute=1,
            tokens_per_minute=None,
            concurrent_requests=None,
        )
    )

    answers = [await read(api, alice, "credits") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert "all API keys of this account" in assert_envelope(answers[1])


async def test_a_revoked_key_is_refused_before_it_is_limited(api: Api, alice: Customer) -> None:
    await limit(alice, requests_per_minute=1)
    await read(api, alice, "credits")
    await in_database(revoke_api_key, alice.key)

    assert (await read(api, alice, "credits")).status_code == 401


async def test_it_limits_replays_of_a_kept_answer(
    api: Api, alice: Customer, upstream: Sandbox
) -> None:
    await limit(alice, requests_per_minute=2)

    answers = [await ask_once(api, alice) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].headers["x-ratelimit-limit-requests"] == "2"
    assert (await upstream.served())["received"] == 1


async def test_it_limits_how_many_of_an_account_wait_for_an_answer(
    api: Api, alice: Customer, upstream: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.serving.replay.waiting.MOST_WAITING", 2)
    first = asyncio.create_task(ask_once(api, alice, messages=SLOWLY))
    await upstream.await_open()

    others = await asyncio.gather(*(ask_once(api, alice, messages=SLOWLY) for _ in range(3)))
    again = await ask_once(api, alice, messages=SLOWLY)

    refused = [answer for answer in others if answer.status_code == 429]
    assert len(refused) == 1
    assert "2 requests that wait for another's answer" in assert_envelope(
        refused[0], code="rate_limit_exceeded"
    )
    assert refused[0].headers["retry-after-ms"] == "500"
    assert "x-ratelimit-limit-requests" in refused[0].headers
    assert (await first).status_code == again.status_code == 200
    assert (await upstream.served())["received"] == 1


async def test_who_does_not_wait_for_its_turn_costs_no_round_trip(
    api: Api, alice: Customer
) -> None:
    await limit(alice, requests_per_minute=1)
    await api.chat(alice, max_tokens=5)
    first = await api.chat(alice, max_tokens=5)
    calls = await count_calls()

    second = await api.chat(alice, max_tokens=5)

    assert await count_calls() == calls
    assert first.status_code == second.status_code == 429
    assert assert_envelope(second) == assert_envelope(first)
    assert list(second.headers) == list(first.headers)
    waits = [int(answer.headers["retry-after-ms"]) for answer in (first, second)]
    assert 55_000 < waits[1] < waits[0] <= 60_000


async def test_a_limit_that_was_raised_counts_before_the_old_turn_comes(
    api: Api, alice: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await limit(alice, requests_per_minute=1)
    await api.chat(alice, max_tokens=5)
    monkeypatch.setattr("proxy.serving.throttle.LONGEST_S", 0)
    await api.chat(alice, max_tokens=5)
    await limit(alice, requests_per_minute=100_000)

    assert (await api.chat(alice, max_tokens=5)).status_code == 200
