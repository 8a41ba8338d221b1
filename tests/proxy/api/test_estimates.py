"""What a request would cost at most, told without sending it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httpx
import pytest

from accounts.models import ApiKey
from billing.keys.api_keys import note_key_changed
from billing.ledger.wallets import freeze_wallet, limit_wallet, wallet_of
from proxy.database import in_database
from tests.proxy.accounts import limit, put_in_debt
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope
from tests.till import Till, limits

Change = Callable[..., Awaitable[None]]


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


async def none_left(api: Api, customer: Customer, change: Change) -> None:
    await change(requests_per_minute=1)
    assert (await api.chat(customer, max_tokens=5)).status_code == 200


async def no_tokens_left(api: Api, customer: Customer, change: Change) -> None:
    await change(tokens_per_minute=600)
    await in_database(_hold_for, customer, 400)


async def one_is_open(api: Api, customer: Customer, change: Change) -> None:
    await change(concurrent_requests=1)
    await in_database(_hold_for, customer)


async def account_has_one(api: Api, customer: Customer, change: Change) -> None:
    await in_database(
        lambda: limit_wallet(
            wallet_of(customer.user),
            requests_per_minute=None,
            tokens_per_minute=None,
            concurrent_requests=1,
        )
    )
    await in_database(_hold_for, customer)


async def frozen(api: Api, customer: Customer, change: Change) -> None:
    await in_database(lambda: freeze_wallet(wallet_of(customer.user), reason="a dispute"))


async def in_debt(api: Api, customer: Customer, change: Change) -> None:
    await in_database(lambda: put_in_debt(wallet_of(customer.user).pk))


WHY: dict[str, Callable[[Api, Customer, Change], Awaitable[None]]] = {
    "more than a minute's tokens": lambda api, customer, change: change(tokens_per_minute=100),
    "no tokens left in this minute": no_tokens_left,
    "no requests left in this minute": none_left,
    "too many at once": one_is_open,
    "too many of the account at once": account_has_one,
    "above the lifetime cap": lambda api, customer, change: change(lifetime_cap_credits=100),
    "above the monthly cap": lambda api, customer, change: change(monthly_cap_credits=100),
    "frozen": frozen,
    "in debt": in_debt,
}


@pytest.mark.parametrize("why", WHY)
async def test_it_tells_what_the_request_would_be_refused_with_now(
    api: Api, alice: Customer, why: str
) -> None:
    await WHY[why](api, alice, partial(limit, alice))
    body = {"model": "gpt-4", "messages": HELLO, "max_tokens": 500}

    told = await ask(api, alice, **body)
    refused = await api.client.post("/v1/chat/completions", headers=alice.headers, json=body)

    assert (told.status_code, refused.status_code) == (200, 403 if why == "frozen" else 429)
    assert told.json()["refusal"] == refused.json()["error"]
    assert not told.json()["is_affordable"]
    assert told.json()["affordable_max_tokens"] is None


async def test_it_takes_the_tokens_of_a_minute_for_a_maximum(api: Api, alice: Customer) -> None:
    await limit(alice, tokens_per_minute=300)

    estimate = (await ask(api, alice, model="gpt-4", messages=HELLO)).json()
    answer = await api.chat(alice)

    assert estimate["affordable_max_tokens"] == 300 - estimate["most_prompt_tokens"]
    assert answer.headers["x-tokenproxy-max-tokens"] == str(estimate["affordable_max_tokens"])


async def test_asking_again_and_again_takes_nothing_of_the_tokens(
    api: Api, alice: Customer
) -> None:
    await limit(alice, tokens_per_minute=600, concurrent_requests=1)

    for _ in range(5):
        await ask(api, alice, model="gpt-4", messages=HELLO, max_tokens=500)

    assert (await api.chat(alice, max_tokens=500)).status_code == 200


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


def _hold_for(customer: Customer, tokens: int = 1) -> None:
    """Let one of the customer's requests be open, that may use so many of 600 tokens a minute."""
    till = Till(customer.user)
    till.key = customer.key
    till.place("open", 1, tokens=tokens, bounds=limits({"tokens_per_minute": 600}))


def _cap(key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(lifetime_cap_credits=300)
    note_key_changed(key)


async def test_it_counts_the_input_of_a_response_without_a_charge(
    api: Api, alice: Customer
) -> None:
    body = {"model": "gpt-4", "input": "Hello!", "instructions": "Be brief."}

    counted = await api.client.post("/v1/responses/input_tokens", headers=alice.headers, json=body)
    estimated = await api.client.post(
        "/v1/estimate", headers=alice.headers, json=body | {"endpoint": "responses"}
    )
    refused = await api.client.post(
        "/v1/responses/input_tokens", headers=alice.headers, json=body | {"background": True}
    )

    assert counted.json() == {
        "object": "response.input_tokens",
        "input_tokens": estimated.json()["prompt_tokens"],
    }
    assert refused.status_code == 400
    assert (await alice.balance()).available_credits == 10_000
    assert await alice.record() is None
