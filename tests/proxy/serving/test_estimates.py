"""What a request would cost at most, told without sending it."""

from collections.abc import Callable
from typing import Any

import httpx

from accounts.models import ApiKey
from billing.keys.api_keys import note_key_changed
from proxy.database import in_database
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope


async def ask(api: Api, customer: Customer, **body: Any) -> httpx.Response:
    return await api.client.post("/v1/estimate", headers=customer.headers, json=body)


async def test_it_tells_what_the_request_then_holds(api: Api, alice: Customer) -> None:
    body = {"model": "gpt-4", "messages": HELLO, "max_tokens": 50, "n": 2}

    estimate = (await ask(api, alice, **body)).json()
    answer = await api.client.post("/v1/chat/completions", headers=alice.headers, json=body)

    record = await alice.record()
    assert record is not None
    assert estimate["most_credits"] == record.held_credits
    assert estimate["prompt_tokens"] == answer.json()["usage"]["prompt_tokens"]
    assert estimate["most_credits"] == estimate["most_prompt_tokens"] + 2 * 50
    assert estimate["is_affordable"]
    assert estimate["available_credits"] == 10_000


async def test_it_sends_and_holds_nothing(api: Api, alice: Customer) -> None:
    await ask(api, alice, model="gpt-4", messages=HELLO)

    assert (await api.upstream.served())["received"] == 0
    assert (await alice.balance()).held_credits == 0
    assert await alice.record() is None


async def test_it_tells_how_long_an_answer_the_balance_affords(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    poor = await in_database(make_customer, "poor@example.com", credits=100)

    estimate = (await ask(api, poor, model="gpt-4", messages=HELLO)).json()
    answer = await api.chat(poor)

    assert estimate["max_tokens"] == 4096
    assert estimate["affordable_max_tokens"] == 100 - estimate["most_prompt_tokens"]
    assert answer.headers["x-tokenproxy-max-tokens"] == str(estimate["affordable_max_tokens"])


async def test_it_tells_that_a_longer_answer_is_not_affordable(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    poor = await in_database(make_customer, "poor@example.com", credits=100)

    estimate = (await ask(api, poor, model="gpt-4", messages=HELLO, max_tokens=500)).json()

    assert not estimate["is_affordable"]
    assert estimate["affordable_max_tokens"] is None
    assert (await api.chat(poor, max_tokens=500)).status_code == 429


async def test_it_counts_what_the_key_may_still_spend(api: Api, alice: Customer) -> None:
    await in_database(_cap, alice.key)

    estimate = (await ask(api, alice, model="gpt-4", messages=HELLO)).json()

    assert estimate["available_credits"] == 300
    assert estimate["affordable_max_tokens"] == 300 - estimate["most_prompt_tokens"]


async def test_it_knows_the_other_endpoints(api: Api, alice: Customer) -> None:
    body = {"endpoint": "embeddings", "model": "gpt-4", "input": ["one two", "three"]}

    estimate = (await ask(api, alice, **body)).json()

    assert (estimate["endpoint"], estimate["max_tokens"]) == ("embeddings", 0)
    assert estimate["most_credits"] >= estimate["prompt_tokens"] == 3


async def test_it_refuses_what_the_request_would_be_refused_for(api: Api, alice: Customer) -> None:
    bad = await ask(api, alice, model="gpt-4", messages=HELLO, temperature=9)
    unknown = await ask(api, alice, model="gpt-9", messages=HELLO)
    elsewhere = await ask(api, alice, endpoint="images", model="gpt-4")

    assert bad.status_code == 400
    assert bad.json()["error"]["param"] == "temperature"
    assert unknown.status_code == 404
    assert_envelope(unknown, code="model_not_found")
    assert elsewhere.status_code == 400
    assert "chat.completions" in assert_envelope(elsewhere, code="invalid_value")


def _cap(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(lifetime_cap_credits=300)
    note_key_changed(key)
