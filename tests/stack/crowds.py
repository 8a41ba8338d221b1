"""Many requests at one instant, over all web processes, and what each of them got."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import orjson

from tests.stack.shop import Customer, Shop, say

Body = dict[str, object]


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

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and code of a refusal."""
        return self.status, orjson.loads(self.text)["error"]["code"]


def mixed(model: str, *, requests: int, seed: int, text: str, **fields: object) -> list[Body]:
    """Bodies that ask for JSON and streams by turns that the seed decides."""
    dice = random.Random(seed)
    return [
        {
            "model": model,
            "messages": say(f"Number {number}: {text}"),
            "stream": dice.random() < 0.5,
            **fields,
        }
        for number in range(requests)
    ]


async def ask_at_once(shop: Shop, customer: Customer, bodies: Sequence[Body]) -> list[Answer]:
    """Send every body at the same instant, each to one of the web processes in turn."""
    gate = asyncio.Barrier(len(bodies))
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), headers=customer.headers
    ) as session:

        async def ask(number: int, body: Body) -> Answer:
            url = shop.stack.web_urls[number % len(shop.stack.web_urls)]
            await gate.wait()
            async with session.post(f"{url}/v1/chat/completions", json=body) as response:
                return Answer(response.status, await response.text())

        return await asyncio.gather(*(ask(number, body) for number, body in enumerate(bodies)))


def served(answers: Sequence[Answer]) -> int:
    """Count the whole answers."""
    return sum(answer.is_served for answer in answers)


def refusals(answers: Sequence[Answer]) -> Counter[tuple[int, str]]:
    """Count everything else by its status and code."""
    return Counter(answer.refusal for answer in answers if not answer.is_served)
