"""A balance that pays for N requests, and ten times as many at once over both web processes."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

import aiohttp
import pytest

from tests.stack.shop import Customer, Shop, say

pytestmark = pytest.mark.stack

# Of the answers: the prompts are free, so each request holds just what it will be charged.
WORDS = 10
PAID_FOR = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client got."""

    status: int
    text: str

    @property
    def is_served(self) -> bool:
        """Whether it is a whole answer: JSON with usage, or a stream with its end marker."""
        is_whole = self.text.endswith("data: [DONE]\n\n") or '"usage"' in self.text
        return self.status == 200 and is_whole and '"error"' not in self.text


@pytest.fixture(scope="module")
def by_the_word(shop: Shop) -> str:
    """A model that costs one credit per completion token, and whose prompts are free."""
    shop.sell(rates=[0, 0, 1_000], routes={"by-the-word": ["gpt-4"]})
    return "by-the-word"


async def ask_at_once(
    shop: Shop, customer: Customer, bodies: list[dict[str, object]]
) -> list[Answer]:
    """Send every body at once, each to one of the web processes in turn."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers=customer.headers
    ) as session:

        async def ask(number: int, body: dict[str, object]) -> Answer:
            url = shop.stack.web_urls[number % len(shop.stack.web_urls)]
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                return Answer(response.status, await response.text())

        return await asyncio.gather(*(ask(number, body) for number, body in enumerate(bodies)))


def mixed(model: str, *, requests: int, seed: int, **fields: object) -> list[dict[str, object]]:
    """Bodies that ask for JSON and streams by turns that the seed decides."""
    dice = random.Random(seed)
    return [
        {
            "model": model,
            "messages": say(f"Number {number}: say {WORDS} words."),
            "stream": dice.random() < 0.5,
            **fields,
        }
        for number in range(requests)
    ]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_it_serves_exactly_what_the_balance_pays_for(
    shop: Shop, by_the_word: str, seed: int
) -> None:
    alice = shop.open_account(credits=PAID_FOR * WORDS)
    bodies = mixed(by_the_word, requests=10 * PAID_FOR, seed=seed, max_tokens=WORDS)

    answers = await ask_at_once(shop, alice, bodies)

    refused = [answer for answer in answers if not answer.is_served]
    assert len(answers) - len(refused) == PAID_FOR
    assert Counter(answer.status for answer in refused) == {429: 9 * PAID_FOR}
    assert all('"code":"insufficient_quota"' in answer.text for answer in refused)
    assert shop.settled(alice) == 0
    receipts = shop.receipts(alice)
    assert [receipt.charged_credits for receipt in receipts] == [WORDS] * PAID_FOR
    assert {receipt.outcome for receipt in receipts} == {"completed"}


async def test_what_answers_leave_of_their_holds_pays_for_others(
    shop: Shop, by_the_word: str
) -> None:
    # A hold of 50 credits and a charge of 10: five hold everything at first, and after 21 charges
    # the 40 that are left hold no further one.
    alice = shop.open_account(credits=5 * 50)
    bodies = mixed(by_the_word, requests=200, seed=4, max_tokens=50)

    answers = await ask_at_once(shop, alice, bodies)

    served = sum(answer.is_served for answer in answers)
    assert 5 <= served <= 21
    assert {answer.status for answer in answers} == {200, 429}
    assert shop.settled(alice) == 5 * 50 - served * WORDS
    receipts = shop.receipts(alice)
    assert [receipt.charged_credits for receipt in receipts] == [WORDS] * served
    assert {receipt.held_credits for receipt in receipts} == {50}


async def test_one_that_names_no_maximum_gets_as_much_as_is_left(
    shop: Shop, by_the_word: str
) -> None:
    alice = shop.open_account(credits=7)

    [answer] = await ask_at_once(shop, alice, mixed(by_the_word, requests=1, seed=5))

    assert answer.is_served
    assert shop.settled(alice) == 0
    [receipt] = shop.receipts(alice)
    assert (receipt.held_credits, receipt.completion_tokens, receipt.charged_credits) == (7, 7, 7)


async def test_spending_one_balance_leaves_the_others_alone(shop: Shop, by_the_word: str) -> None:
    alice, bob = (shop.open_account(credits=PAID_FOR * WORDS) for _ in range(2))
    bodies = mixed(by_the_word, requests=5 * PAID_FOR, seed=6, max_tokens=WORDS)

    of_alice, of_bob = await asyncio.gather(
        ask_at_once(shop, alice, bodies), ask_at_once(shop, bob, bodies[:5])
    )

    assert sum(answer.is_served for answer in of_alice) == PAID_FOR
    assert sum(answer.is_served for answer in of_bob) == 5
    assert (shop.settled(alice), shop.settled(bob)) == (0, (PAID_FOR - 5) * WORDS)
