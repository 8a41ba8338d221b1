"""A balance that pays for some of many requests at once, whatever they leave of their holds."""

import asyncio

import pytest

from tests.stack.crowds import ask_at_once, mixed, served
from tests.stack.shop import Shop

pytestmark = pytest.mark.stack

# Of the answers: the prompts are free, so each request holds just what it will be charged.
WORDS = 10
TEXT = f"Say {WORDS} words."
PAID_FOR = 20


@pytest.fixture(scope="module")
def by_the_word(shop: Shop) -> str:
    """A model that costs one credit per completion token, and whose prompts are free."""
    shop.sell(rates=[0, 0, 1_000], routes={"by-the-word": ["gpt-4"]})
    return "by-the-word"


async def test_what_answers_leave_of_their_holds_pays_for_others(
    shop: Shop, by_the_word: str
) -> None:
    # A hold of 50 credits and a charge of 10: five hold everything at first, and after 21 charges
    # the 40 that are left hold no further one.
    alice = shop.open_account(credits=5 * 50)
    bodies = mixed(by_the_word, requests=200, seed=4, text=TEXT, max_tokens=50)

    answers = await ask_at_once(shop, alice, bodies)

    assert 5 <= served(answers) <= 21
    assert {answer.status for answer in answers} == {200, 429}
    assert shop.settled(alice) == 5 * 50 - served(answers) * WORDS
    receipts = shop.receipts(alice)
    assert [receipt.charged_credits for receipt in receipts] == [WORDS] * served(answers)
    assert {receipt.held_credits for receipt in receipts} == {50}


async def test_one_that_names_no_maximum_gets_as_much_as_is_left(
    shop: Shop, by_the_word: str
) -> None:
    alice = shop.open_account(credits=7)

    [answer] = await ask_at_once(shop, alice, mixed(by_the_word, requests=1, seed=5, text=TEXT))

    assert answer.is_served
    assert shop.settled(alice) == 0
    [receipt] = shop.receipts(alice)
    assert (receipt.held_credits, receipt.completion_tokens, receipt.charged_credits) == (7, 7, 7)


async def test_spending_one_balance_leaves_the_others_alone(shop: Shop, by_the_word: str) -> None:
    alice, bob = (shop.open_account(credits=PAID_FOR * WORDS) for _ in range(2))
    bodies = mixed(by_the_word, requests=5 * PAID_FOR, seed=6, text=TEXT, max_tokens=WORDS)

    of_alice, of_bob = await asyncio.gather(
        ask_at_once(shop, alice, bodies), ask_at_once(shop, bob, bodies[:5])
    )

    assert (served(of_alice), served(of_bob)) == (PAID_FOR, 5)
    assert (shop.settled(alice), shop.settled(bob)) == (0, (PAID_FOR - 5) * WORDS)
