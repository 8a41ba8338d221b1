"""What a request needs to be let in: credits, a wallet in order, a rate within its limit."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from billing.ledger.wallets import freeze_wallet, wallet_of
from billing.wallet import keys
from billing.wallet.sync_client import get_sync_client
from proxy.database import in_database
from proxy.metering import bounds
from proxy.metering.bounds import Reader
from proxy.metering.chats import take_apart
from proxy.metering.counts import Count
from proxy.metering.prompt import Prompt
from proxy.serving.counting import bound_prompt, count_prompt
from proxy.serving.fair import LongWork
from tests.proxy.accounts import put_in_debt
from tests.proxy.conftest import HELLO, Api, Customer, assert_envelope
from tests.proxy.readers import bound, reader_of

# What a hold takes for the prompt alone.
PROMPT_BOUND = bound(take_apart({"messages": HELLO}, "gpt-4"))


async def test_it_refuses_what_the_balance_does_not_cover(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=PROMPT_BOUND + 99)

    response = await api.chat(bob, max_tokens=100)

    message = assert_envelope(response, code="insufficient_quota")
    assert response.status_code == 429
    assert response.json()["error"]["type"] == "insufficient_quota"
    assert response.headers["x-should-retry"] == "false"
    assert "retry-after" not in response.headers
    assert "top_up_url: http://testserver/packs/" in message
    assert (await bob.balance()).available_credits == PROMPT_BOUND + 99


async def test_it_takes_what_the_balance_just_covers(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=PROMPT_BOUND + 100)

    response = await api.chat(bob, max_tokens=100)

    assert response.status_code == 200
    assert "x-tokenproxy-max-tokens" not in response.headers


async def test_it_clamps_its_own_maximum_to_the_balance_and_says_so(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=PROMPT_BOUND + 25)

    response = await api.chat(bob, messages=HELLO)

    record = await bob.record()
    assert response.headers["x-tokenproxy-max-tokens"] == "25"
    assert record is not None
    assert record.held_credits == PROMPT_BOUND + 25
    assert record.completion_tokens <= 25


async def test_it_sends_the_models_default_where_the_balance_affords_it(
    api: Api, alice: Customer
) -> None:
    response = await api.chat(alice)

    assert response.headers["x-tokenproxy-max-tokens"] == "4096"


async def test_it_holds_for_every_choice(api: Api, make_customer: Callable[..., Customer]) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=PROMPT_BOUND + 299)

    refused = await api.chat(bob, n=3, max_tokens=100)
    served = await api.chat(bob, n=2, max_tokens=100)

    assert (refused.status_code, served.status_code) == (429, 200)
    assert len(served.json()["choices"]) == 2


async def test_it_holds_for_a_prediction_that_does_not_come_true(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    # Read once, and billed once more as written: 100 bytes for at most 100 tokens each time.
    body: dict[str, Any] = {
        "messages": HELLO,
        "prediction": {"type": "content", "content": "x" * 100},
    }
    held = bound(take_apart(body, "gpt-4")) + 100
    bob = await in_database(make_customer, "bob@example.com", credits=held + 10)

    refused = await api.chat(bob, **body, max_tokens=11)
    served = await api.chat(bob, **body, max_tokens=10)

    assert (refused.status_code, served.status_code) == (429, 200)


async def test_it_holds_a_prompt_and_no_more_for_embeddings(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    # Two tokens, by the vocabulary of gpt-4.
    bob = await in_database(make_customer, "bob@example.com", credits=2)

    refused = await api.ask(bob, "embeddings", input="Hello! you")
    served = await api.ask(bob, "embeddings")

    record = await bob.record()
    assert (refused.status_code, served.status_code) == (429, 200)
    assert record is not None
    assert (record.held_credits, record.charged_credits) == (2, 2)
    assert "x-tokenproxy-max-tokens" not in served.headers


async def test_it_clamps_the_default_of_each_endpoint_to_the_balance(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    # "Hello!" and 16 tokens of a text are 18 credits.
    bob = await in_database(make_customer, "bob@example.com", credits=18 + PROMPT_BOUND + 25)

    text = await api.ask(bob, "completions", max_tokens=None)
    response = await api.ask(bob, "responses", max_output_tokens=None)
    poor = await api.ask(bob, "responses", max_output_tokens=None)

    # The specification's 16; what the balance affords; less than the 16 that a response takes.
    assert text.headers["x-tokenproxy-max-tokens"] == "16"
    assert response.headers["x-tokenproxy-max-tokens"] == "25"
    assert poor.status_code == 429


async def test_it_serves_no_more_than_the_balance_pays_for_however_many_ask_at_once(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    # Each holds PROMPT_BOUND + 20, so 5 holds fit at once; what is released lets more in.
    bob = await in_database(make_customer, "bob@example.com", credits=5 * (PROMPT_BOUND + 20))

    responses = await asyncio.gather(*(api.chat(bob, max_tokens=20) for _ in range(50)))

    await api.idle()
    charged = [int(r.headers["x-tokenproxy-credits-charged"]) for r in responses if r.is_success]
    balance = await bob.balance()
    # Where the machine is too busy to ask Redis within 1.8 s, a call is refused with 503.
    assert charged
    assert {response.status_code for response in responses} <= {200, 429, 503}
    assert balance.available_credits == 5 * (PROMPT_BOUND + 20) - sum(charged) >= 0
    assert balance.held_credits == 0


async def test_it_lets_nobody_spend_from_a_frozen_account(api: Api, alice: Customer) -> None:
    await api.chat(alice)
    await in_database(lambda: freeze_wallet(wallet_of(alice.user), reason="a dispute"))

    response = await api.chat(alice)

    assert response.status_code == 403
    assert_envelope(response, code="account_frozen")


async def test_it_lets_nobody_spend_in_debt(api: Api, alice: Customer) -> None:
    await in_database(lambda: put_in_debt(wallet_of(alice.user).pk))

    response = await api.chat(alice)

    assert response.status_code == 429
    assert "top_up_url" in assert_envelope(response, code="insufficient_quota")


async def test_it_tells_the_rate_limit_and_refuses_beyond_it(api: Api, alice: Customer) -> None:
    alice.key.requests_per_minute = 2
    await in_database(alice.key.save)

    answers = [await api.chat(alice, max_tokens=5) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == [
        "1",
        "0",
        "0",
    ]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert answers[0].headers["x-ratelimit-reset-requests"].endswith("s")
    assert_envelope(answers[2], code="rate_limit_exceeded")
    assert 0 < int(answers[2].headers["retry-after"]) <= 60
    assert 0 < int(answers[2].headers["retry-after-ms"]) <= 60_000


async def test_it_answers_503_while_the_wallets_are_recovering(api: Api, alice: Customer) -> None:
    close_shards()

    chat = await api.chat(alice)
    credits = await api.client.get("/v1/credits", headers=alice.headers)

    assert (chat.status_code, credits.status_code) == (503, 503)
    assert_envelope(chat, code="wallet_recovering")


async def test_it_tells_redis_of_a_wallet_that_it_does_not_know(api: Api, alice: Customer) -> None:
    wallet_id = await in_database(lambda: wallet_of(alice.user).pk)
    get_sync_client().redis.delete(keys.wallet(wallet_id))

    response = await api.chat(alice)

    assert response.status_code == 200


async def test_it_counts_long_prompts_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[bool] = []

    def watch(prompt: Prompt, reader: Reader, count: Count) -> int:
        threads.append(threading.current_thread() is threading.main_thread())
        return exact(prompt, reader, count)

    exact = bounds.bound_exactly
    monkeypatch.setattr(bounds, "bound_exactly", watch)
    reader = reader_of("gpt-4")
    short = take_apart({"messages": [{"role": "user", "content": "word"}]}, "gpt-4")
    long = take_apart({"messages": [{"role": "user", "content": "word " * 4_000}]}, "gpt-4")

    work = LongWork()

    held = (await bound_prompt(work, 1, short, reader), await bound_prompt(work, 1, long, reader))

    assert threads == [True, False]
    assert held == (8 + 20, 8 + 4_000 + 20)
    assert await count_prompt(work, 1, long, reader) == 8 + 4_000
    work.close()


def close_shards() -> None:
    client = get_sync_client()
    for shard in range(keys.SHARDS):
        client.redis.execute_command("FCALL", "tp_close", 1, keys.fence(shard))
