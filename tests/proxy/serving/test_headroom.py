"""A prompt is held by its size where that leaves ample room, and counted where it does not."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from accounts.teams.members import own_seat
from billing.ledger.wallets import adjust_credits, wallet_of
from billing.teams.members import set_member_caps
from proxy.database import in_database
from proxy.metering.bounds import bound_by_size
from proxy.metering.chats import take_apart
from proxy.serving.headroom import TIMES
from tests.proxy.accounts import limit
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import Api, Customer
from tests.proxy.readers import bound, reader_of

Make = Callable[..., Customer]

# Of four letters and a space each, so that a size is nearly five times the count.
MESSAGES = [{"role": "user", "content": "word " * 400}]
PROMPT = take_apart({"messages": MESSAGES}, "gpt-4")
COUNTED, SIZE = bound(PROMPT), bound_by_size(PROMPT, reader_of("gpt-4"))
WRITTEN = 10
ASK: dict[str, Any] = {"messages": MESSAGES, "max_tokens": WRITTEN}
# What the second of two holds must leave for its size to be held.
AMPLE = TIMES * (SIZE + WRITTEN)


async def held(customer: Customer, answer: Any) -> int:
    assert answer.status_code == 200
    record = await customer.receipt(answer.headers["x-request-id"])
    assert record is not None
    return record.held_credits - WRITTEN


async def spend_all_but(customer: Customer, credits: int) -> None:
    """Take credits as another process would: this one learns of it from the next refusal."""
    balance = await customer.balance()

    def take() -> None:
        adjust_credits(
            wallet_of(customer.user),
            amount_credits=credits - balance.available_credits,
            actor=customer.user,
            reason="a test",
        )

    await in_database(take)
    assert (await customer.balance()).available_credits == credits


async def test_it_holds_a_size_where_much_is_left(api: Api, make_customer: Make) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=2 * AMPLE)

    first, second = [await api.chat(bob, **ASK) for _ in range(2)]

    assert (await held(bob, first), await held(bob, second)) == (COUNTED, SIZE)
    # Neither a charge nor an estimate knows of it.
    charges = [answer.headers["x-tokenproxy-credits-charged"] for answer in (first, second)]
    assert charges[0] == charges[1]
    estimate = await api.client.post(
        "/v1/estimate", headers=bob.headers, json={"model": "gpt-4", **ASK}
    )
    assert estimate.json()["most_prompt_tokens"] == COUNTED


@pytest.mark.parametrize(
    "limits",
    [{}, {"tokens_per_minute": AMPLE}, {"lifetime_cap_credits": 10**9}],
    ids=["balance", "minute", "cap"],
)
async def test_it_counts_where_the_size_may_be_missed(
    api: Api, make_customer: Make, limits: dict[str, int]
) -> None:
    credits = 10 * AMPLE if limits else AMPLE
    bob = await in_database(make_customer, "bob@example.com", credits=credits)
    await limit(bob, **limits)

    answers = [await api.chat(bob, **ASK) for _ in range(2)]

    assert [await held(bob, answer) for answer in answers] == [COUNTED, COUNTED]


async def test_it_counts_where_the_size_may_miss_a_members_cap(
    api: Api, make_customer: Make
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=10 * AMPLE)
    caps = {"lifetime_cap_credits": None, "monthly_cap_credits": 10**9}
    await in_database(lambda: set_member_caps(own_seat(bob.user), bob.user, **caps))

    answers = [await api.chat(bob, **ASK) for _ in range(2)]

    assert [await held(bob, answer) for answer in answers] == [COUNTED, COUNTED]


async def test_it_counts_what_the_balance_covers_by_its_count_alone(
    api: Api, make_customer: Make
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=2 * AMPLE)
    await api.chat(bob, **ASK)
    await spend_all_but(bob, COUNTED + WRITTEN)

    answer = await api.chat(bob, **ASK)
    refused = await api.chat(bob, **ASK)

    assert await held(bob, answer) == COUNTED
    assert refused.status_code == 429


async def test_it_clamps_by_the_count(api: Api, make_customer: Make) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=10 * AMPLE)
    await api.chat(bob, **ASK)
    await spend_all_but(bob, SIZE + 70)

    answer = await api.chat(bob, messages=MESSAGES)

    assert answer.headers["x-tokenproxy-max-tokens"] == str(SIZE - COUNTED + 70)


async def test_it_counts_what_a_minute_allows_by_its_count_alone(
    api: Api, make_customer: Make
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=10 * AMPLE)
    await api.chat(bob, **ASK)
    await limit(bob, tokens_per_minute=2 * (COUNTED + WRITTEN))

    answer = await api.chat(bob, **ASK)

    assert await held(bob, answer) == COUNTED


async def test_it_charges_its_own_count_for_a_prompt_that_was_held_by_its_size(
    api: Api, make_customer: Make
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=2 * AMPLE)
    message = {"role": "assistant", "content": "one two three"}
    async with serve_canned(json_answer(200, {"choices": [{"message": message}]})) as canned:
        await api.send_to(canned.base_url)

        answers = [await api.chat(bob, **ASK) for _ in range(2)]

    records = [await bob.receipt(answer.headers["x-request-id"]) for answer in answers]
    assert [(r.source, r.prompt_tokens, r.charged_credits) for r in records if r] == [
        ("estimated", PROMPT.count(), PROMPT.count() + 3)
    ] * 2


async def test_many_at_once_are_let_in_as_if_all_were_counted(
    api: Api, make_customer: Make
) -> None:
    # Two that are held by their size, and as many beside them as their counts leave room for.
    credits = AMPLE + 2 * (SIZE + WRITTEN)
    bob = await in_database(make_customer, "bob@example.com", credits=credits)
    await api.chat(bob, **ASK)

    answers = await asyncio.gather(*(api.chat(bob, **ASK) for _ in range(60)))

    assert {answer.status_code for answer in answers} == {200}
