"""Programs of customers: one request after another, each in another way."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from bench.chaos.sightings import Seen, digest, note_body, note_event, note_head

if TYPE_CHECKING:
    from bench.chaos.customers import Account, Crowd

# Between two requests of one program, and after one that nobody answered.
PAUSE_S = (0.05, 0.35)
LOST_PAUSE_S = 0.4
BAD_SHARE = 0.12
# How many of the chat streams ask for their usage.
USAGE_SHARE = 0.5
# An SDK that gave up waiting sends its request again after about as long.
RETRY_PAUSE_S = (0.05, 0.5)
# How often a request with an Idempotency-Key is sent.
KEYED_TIMES = (2, 3)

GOOD_MODELS = {
    # Millicredits per prompt, cached prompt and completion token.
    "gpt-4o": [1_000, 500, 4_000],
    "chaos-odd": [333, 77, 1_999],
    "chaos-40tps": [1_000, 1_000, 1_000],
}
BAD_MODELS = {
    name: [1_000, 1_000, 1_000]
    for name in (
        "fault-cut-5",
        "fault-error-event-4",
        "fault-500",
        "fault-refuse",
        "fault-no-usage",
        "fault-string-usage",
        "fault-slow-first-byte-1",
        "fault-byte-chunks",
    )
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: the same when it is sent again."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def is_stream(self) -> bool:
        return bool(self.body.get("stream"))

    def with_headers(self, **headers: str) -> Wanted:
        return Wanted(self.path, self.body, {**self.headers, **headers})


class Program:
    """A customer's program."""

    def __init__(
        self, crowd: Crowd, session: aiohttp.ClientSession, account: Account, number: int
    ) -> None:
        self._crowd = crowd
        self._session = session
        self._account = account
        self._number = number
        self._keys = 0
        self._chance = random.Random(f"{crowd.seed}-program-{number}")
        self._ways: list[tuple[str, int, Callable[[str], Awaitable[None]]]] = [
            ("json", 24, lambda way: self._once(way, self._chat())),
            ("stream", 24, lambda way: self._once(way, self._chat(stream=True))),
            ("embeddings", 6, lambda way: self._once(way, self._embeddings())),
            ("responses", 5, lambda way: self._once(way, self._response())),
            ("responses stream", 5, lambda way: self._once(way, self._response(stream=True))),
            ("json hang-up", 6, self._ask_and_leave),
            ("stream hang-up", 12, self._listen_and_leave),
            ("json retry", 8, self._ask_again),
            ("json keyed", 6, lambda way: self._repeat(way, self._chat())),
            ("stream keyed", 4, lambda way: self._repeat(way, self._chat(stream=True))),
        ]

    async def run(self) -> None:
        """Call until the crowd leaves."""
        while not self._crowd.is_leaving:
            shares = [share for _, share, _ in self._ways]
            [(way, _, act)] = self._chance.choices(self._ways, shares)
            await act(way)
            await asyncio.sleep(self._chance.uniform(*PAUSE_S))

    # Ways to call.

    async def _once(self, way: str, wanted: Wanted) -> None:
        await self._send(way, wanted)

    async def _ask_and_leave(self, way: str) -> None:
        await self._send(way, self._chat(), leave_s=self._chance.uniform(0.005, 0.2))

    async def _listen_and_leave(self, way: str) -> None:
        await self._send(way, self._chat(stream=True), leave_after=self._chance.randint(1, 15))

    async def _ask_again(self, way: str) -> None:
        """Give up waiting and send the same once more, as the official SDKs do: without a key."""
        wanted = self._chat()
        first = await self._send(way, wanted, leave_s=self._chance.uniform(0.02, 0.4))
        if first.outcome == "hung up":
            await asyncio.sleep(self._chance.uniform(*RETRY_PAUSE_S))
            again = wanted.with_headers(**{"x-stainless-retry-count": "1"})
            await self._send(f"{way}, second", again)

    async def _repeat(self, way: str, wanted: Wanted) -> None:
        """Send a request with a key several times, now and then at once."""
        self._keys += 1
        name = f"{self._number}-{self._keys}"
        keyed = wanted.with_headers(**{"Idempotency-Key": name})
        times = self._chance.randint(*KEYED_TIMES)
        if self._chance.random() < 0.3:
            await asyncio.gather(*(self._send(way, keyed, key=name) for _ in range(times)))
            return
        for _ in range(times):
            leave_s = self._chance.uniform(0.02, 0.4) if self._chance.random() < 0.2 else None
            await self._send(way, keyed, key=name, leave_s=leave_s)

    # What is asked for.

    def _wanted(self, path: str, body: dict[str, Any], *, stream: bool = False) -> Wanted:
        if stream:
            body["stream"] = True
        headers = {"Authorization": f"Bearer {self._account.secret}"}
        return Wanted(path, {"model": self._choose_model(), **body}, headers)

    def _choose_model(self) -> str:
        bad = self._chance.random() < BAD_SHARE
        return self._chance.choice(sorted(BAD_MODELS if bad else GOOD_MODELS))

    def _chat(self, *, stream: bool = False) -> Wanted:
        content = f"say {self._chance.randint(3, 50)} words"
        body: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        if self._chance.random() < 0.7:
            body["max_tokens"] = self._chance.choice([20, 60, 120])
        # The usual client does not ask.
        if stream and self._chance.random() < USAGE_SHARE:
            body["stream_options"] = {"include_usage": True}
        return self._wanted("/v1/chat/completions", body, stream=stream)

    def _embeddings(self) -> Wanted:
        words = " ".join(["word"] * self._chance.randint(1, 60))
        return self._wanted("/v1/embeddings", {"input": words, "dimensions": 8})

    def _response(self, *, stream: bool = False) -> Wanted:
        body: dict[str, Any] = {"input": f"say {self._chance.randint(3, 50)} words"}
        if self._chance.random() < 0.7:
            body["max_output_tokens"] = self._chance.choice([20, 60, 120])
        return self._wanted("/v1/responses", body, stream=stream)

    # Sending.

    async def _send(
        self,
        way: str,
        wanted: Wanted,
        *,
        key: str | None = None,
        leave_s: float | None = None,
        leave_after: int | None = None,
    ) -> Seen:
        """Send a request to one of the web processes and note what came of it.

        Leaves after so many seconds, or events of a stream.
        """
        seen = Seen(way, wanted.body["model"], self._account.wallet_id, idempotency_key=key)
        self._crowd.requests.append(seen)
        try:
            async with asyncio.timeout(leave_s) as patience:
                await self._receive(seen, wanted, leave_after)
        except TimeoutError as error:
            seen.outcome = "hung up" if patience.expired() else f"lost ({type(error).__name__})"
        except aiohttp.ClientError as error:
            seen.outcome = f"lost ({type(error).__name__})"
            await asyncio.sleep(LOST_PAUSE_S)
        seen.ended_at = time.monotonic()
        return seen

    async def _receive(self, seen: Seen, wanted: Wanted, leave_after: int | None) -> None:
        url = f"{self._chance.choice(self._crowd.web_urls)}{wanted.path}"
        async with self._session.post(url, json=wanted.body, headers=wanted.headers) as response:
            note_head(seen, response)
            if response.status != 200 or not wanted.is_stream:
                note_body(seen, await response.read())
            else:
                await listen(seen, response, leave_after)


async def listen(seen: Seen, response: aiohttp.ClientResponse, leave_after: int | None) -> None:
    """Follow a stream to its end, or leave after so many events."""
    seen.outcome = "cut"
    events = []
    async for line in response.content:
        if line.startswith(b"data: "):
            events.append(line[6:].strip())
            note_event(seen, events[-1])
        if leave_after is not None and len(events) >= leave_after:
            seen.outcome = "hung up"
            return
    seen.digest = digest(b"\n".join(events))
