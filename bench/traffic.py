"""What a load sends, and what each of its clients sees. `bench.load` is the command."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import aiohttp
import orjson

# Of the requests of a load with faults, how many go to a model that fails.
FAULT_SHARE = 0.25
FAULTS = (
    "fault-refuse",
    "fault-500",
    "fault-503",
    "fault-429-1",
    "fault-401",
    "fault-402-quota",
    "fault-not-json",
    "fault-redirect",
    "fault-slow-first-byte-0.2",
    "fault-slow-first-byte-90",
    "fault-flaky-1",
    "fault-no-usage",
    "fault-zero-usage",
    "fault-negative-usage",
    "fault-string-usage",
    "fault-cached-over-prompt",
    "fault-usage-over-max-1000",
    "fault-stall-3",
    "fault-cut-0",
    "fault-cut-3",
    "fault-error-event-0",
    "fault-error-event-3",
    "fault-malformed-event-3",
    "fault-huge-event-64",
    "fault-byte-chunks",
)
LONGEST_S = 90.0


class Ending(StrEnum):
    """How a request ended for its client."""

    SERVED = "served"
    REFUSED = "refused"  # an error with a status
    BROKEN = "broken"  # a stream that ended with an error event
    LEFT = "left"  # the client hung up
    CUT = "cut"  # the connection ended in the middle: no request should end like this


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, and whom to."""

    urls: Sequence[str]
    keys: Sequence[str]
    requests: int
    concurrency: int
    seed: int
    hang_up: float = 0.0
    models: Sequence[str] = ("gpt-4",)
    faults: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """One request as it is planned."""

    url: str
    key: str
    body: dict[str, Any]
    # When the client hangs up: a stream's after so many pieces, another's after so long.
    leaves_after_pieces: int | None = None
    leaves_after_s: float | None = None


@dataclass(slots=True)
class Sent:
    """One request as its client saw it."""

    order: Order
    ending: Ending = Ending.CUT
    status: int | None = None
    request_id: str | None = None
    error_code: str | None = None
    charged_credits: int | None = None
    usage: dict[str, Any] | None = None
    # Events of a stream that had text.
    pieces: int = 0
    seconds: float = 0.0
    has_end_marker: bool = field(default=False)

    @property
    def model(self) -> str:
        return str(self.order.body["model"])

    @property
    def is_stream(self) -> bool:
        return bool(self.order.body["stream"])


def plan(load: Load) -> Iterator[Order]:
    """Draw the requests of a load. The same load draws the same ones."""
    dice = random.Random(load.seed)
    for number in range(load.requests):
        is_faulty = bool(load.faults) and dice.random() < FAULT_SHARE
        model = dice.choice(load.faults if is_faulty else load.models)
        leaves = dice.random() < load.hang_up
        yield draw_order(dice, number, load, model=model, leaves=leaves)


def draw_order(dice: random.Random, number: int, load: Load, *, model: str, leaves: bool) -> Order:
    """Draw one request; of a client that will leave, one whose answer takes some time."""
    words = dice.randint(20, 60) if leaves else dice.randint(1, 60)
    speed = f" [[tps={dice.choice([20, 60, 200])}]]" if leaves else ""
    cached = f" [[cached={dice.randint(1, 9)}]]" if dice.random() < 0.2 else ""
    text = f"Number {number} of {load.seed}: say {words} words.{speed}{cached}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": dice.random() < 0.6,
    }
    if dice.random() < 0.7:
        body["max_tokens"] = dice.choice([5, 60, 200])
    if dice.random() < 0.1:
        body["n"] = 2
    if body["stream"] and dice.random() < 0.5:
        body["stream_options"] = {"include_usage": True}
    return Order(
        url=dice.choice(load.urls),
        key=dice.choice(load.keys),
        body=body,
        leaves_after_pieces=dice.randint(0, 15) if leaves and body["stream"] else None,
        leaves_after_s=dice.uniform(0.0, 0.5) if leaves and not body["stream"] else None,
    )


async def run(load: Load) -> list[Sent]:
    """Send a load and return how each request ended."""
    orders = plan(load)
    sent: list[Sent] = []
    timeout = aiohttp.ClientTimeout(total=LONGEST_S)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def work() -> None:
            # All workers draw from the one iterator.
            for order in orders:
                one = await send(session, order)
                sent.append(one)

        async with asyncio.TaskGroup() as group:
            for _ in range(load.concurrency):
                group.create_task(work())
    return sent


async def send(session: aiohttp.ClientSession, order: Order) -> Sent:
    """Send one request and see it to its end, or leave before."""
    sent = Sent(order)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(order.leaves_after_s):
            await _exchange(session, sent)
    except TimeoutError:
        # That of the session is a defect of whoever was to answer.
        if order.leaves_after_s is not None:
            sent.ending = Ending.LEFT
    except aiohttp.ClientError:
        sent.ending = Ending.CUT
    sent.seconds = time.perf_counter() - started
    return sent


async def _exchange(session: aiohttp.ClientSession, sent: Sent) -> None:
    order = sent.order
    response = await session.post(
        f"{order.url}/v1/chat/completions",
        headers={"authorization": f"Bearer {order.key}"},
        json=order.body,
    )
    try:
        sent.status = response.status
        sent.request_id = response.headers.get("x-request-id")
        if sent.status == 200 and sent.is_stream:
            await _read_stream(response, sent)
        else:
            _read_answer(await response.read(), sent)
            charged = response.headers.get("x-tokenproxy-credits-charged")
            sent.charged_credits = None if charged is None else int(charged)
    finally:
        # Before the end, this hangs up.
        response.close()


def _read_answer(body: bytes, sent: Sent) -> None:
    answer = orjson.loads(body)
    if sent.status == 200:
        sent.ending = Ending.SERVED
        sent.usage = answer.get("usage")
    else:
        sent.ending = Ending.REFUSED
        sent.error_code = answer["error"]["code"] or answer["error"]["type"]


async def _read_stream(response: aiohttp.ClientResponse, sent: Sent) -> None:
    rest = b""
    async for some in response.content.iter_any():
        *events, rest = (rest + some).split(b"\n\n")
        for event in events:
            _take_event(event, sent)
            if sent.pieces == sent.order.leaves_after_pieces:
                sent.ending = Ending.LEFT
                return
    if sent.has_end_marker:
        sent.ending = Ending.SERVED


def _take_event(event: bytes, sent: Sent) -> None:
    data = event.removeprefix(b"data: ")
    if data == b"[DONE]":
        sent.has_end_marker = True
        return
    # A comment keeps the connection alive; one fault is an event that is not JSON.
    if not event.startswith(b"data: "):
        return
    try:
        chunk = orjson.loads(data)
    except orjson.JSONDecodeError:
        return
    if "error" in chunk:
        sent.ending = Ending.BROKEN
        sent.error_code = chunk["error"]["code"] or chunk["error"]["type"]
        return
    sent.usage = chunk.get("usage") or sent.usage
    sent.pieces += any(choice["delta"].get("content") for choice in chunk["choices"])
