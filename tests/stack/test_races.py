"""500 requests at one instant over four web processes, of which an exact number may pass.

`make races` runs twenty seeds of each; `make test` one.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.stack.crowds import ask_at_once, mixed, refusals, served
from tests.stack.shop import Customer, Shop

# The product may take longer to start, on a slow machine.
pytestmark = [pytest.mark.stack, pytest.mark.timeout(60, func_only=True)]

SEEDS = range(1, int(os.environ.get("RACE_SEEDS", "1")) + 1)
REQUESTS = 500
PAID_FOR = 50
# Of an answer. Prompts are free here, so each request holds just what it will be charged.
WORDS = 4
PLENTY = 1_000_000


@dataclass(frozen=True)
class Race:
    """What all of them compete for, and what the losers are told."""

    open_account: Callable[[Shop], Customer]
    refusal: tuple[int, str]
    admitted: int = PAID_FOR
    text: str = f"Say {WORDS} words."


RACES = {
    "balance": Race(
        lambda shop: shop.open_account(credits=PAID_FOR * WORDS), (429, "insufficient_quota")
    ),
    # The sixth may pass 12 seconds after the first, which is longer than the race.
    "requests per minute": Race(
        lambda shop: shop.open_account(credits=PLENTY, requests_per_minute=5),
        (429, "rate_limit_exceeded"),
        admitted=5,
    ),
    "lifetime cap": Race(
        lambda shop: shop.open_account(credits=PLENTY, lifetime_cap_credits=PAID_FOR * WORDS),
        (429, "insufficient_quota"),
    ),
    "monthly cap": Race(
        lambda shop: shop.open_account(credits=PLENTY, monthly_cap_credits=PAID_FOR * WORDS),
        (429, "insufficient_quota"),
    ),
    # Nobody is counted before the first of them, and all processes learn that at once.
    "lifetime cap of a member": Race(
        lambda shop: shop.open_account(
            credits=PLENTY, caps={"lifetime_cap_credits": PAID_FOR * WORDS}
        ),
        (429, "insufficient_quota"),
    ),
    "monthly cap of a member": Race(
        lambda shop: shop.open_account(
            credits=PLENTY, caps={"monthly_cap_credits": PAID_FOR * WORDS}
        ),
        (429, "insufficient_quota"),
    ),
    # None of them ends before the last has come.
    "requests at once": Race(
        lambda shop: shop.open_account(credits=PLENTY, concurrent_requests=PAID_FOR),
        (429, "rate_limit_exceeded"),
        text=f"Say {WORDS} words. [[tps=1]]",
    ),
}


@pytest.fixture(scope="module")
def by_the_word(shop: Shop) -> str:
    """A model that costs one credit per completion token, and whose prompts are free."""
    shop.sell(rates=[0, 0, 1_000], routes={"by-the-word": ["gpt-4"]})
    return "by-the-word"


@pytest.mark.parametrize("name", RACES)
@pytest.mark.parametrize("seed", SEEDS)
async def test_exactly_as_many_pass_as_may(
    shop: Shop, by_the_word: str, name: str, seed: int
) -> None:
    race = RACES[name]
    alice = race.open_account(shop)
    had = shop.balance(alice)["available"]
    bodies = mixed(by_the_word, requests=REQUESTS, seed=seed, text=race.text, max_tokens=WORDS)

    answers = await ask_at_once(shop, alice, bodies)

    assert served(answers) == race.admitted
    assert refusals(answers) == {race.refusal: REQUESTS - race.admitted}
    assert shop.settled(alice) == had - race.admitted * WORDS
    receipts = shop.receipts(alice)
    assert [receipt.charged_credits for receipt in receipts] == [WORDS] * race.admitted
    assert {receipt.outcome for receipt in receipts} == {"completed"}


@pytest.mark.parametrize("before", [{}, {"lifetime_cap_credits": PLENTY}], ids=["none", "higher"])
async def test_a_cap_that_is_lowered_under_load_binds_the_next_request(
    shop: Shop, by_the_word: str, before: dict[str, int]
) -> None:
    alice = shop.open_account(credits=PLENTY, caps=before)
    bodies = mixed(by_the_word, requests=200, seed=1, text=RACES["balance"].text, max_tokens=WORDS)
    crowd = asyncio.create_task(ask_at_once(shop, alice, bodies))
    await asyncio.sleep(0.1)

    caps = {"lifetime_cap_credits": 0}
    await asyncio.to_thread(shop.clerk.order, "cap_member", email=alice.email, caps=caps)
    after = await ask_at_once(shop, alice, bodies[:20])

    answers = await crowd
    assert refusals(after) == {(429, "insufficient_quota"): 20}
    assert refusals(answers).keys() <= {(429, "insufficient_quota")}
    assert shop.settled(alice) == PLENTY - served(answers) * WORDS
