"""A client that leaves a model that thinks first, before anything of the answer is seen.

Clients are sockets that close, and upstreams say the rest when the test lets them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from billing.models import PublicModel, UsageRecord
from proxy.database import in_database
from tests.proxy.canned import Canned, chunk, json_answer, serve_canned, stream_answer
from tests.proxy.conftest import HELLO, Api, Customer, until

OPENING = chunk()
# 9 of the prompt, and 40 of which the client never saw a word.
REPORTED = 9 + 40


def usage_chunk(completion: int = 40) -> str:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": completion,
        "completion_tokens_details": {"reasoning_tokens": completion},
    }
    finished = {"index": 0, "delta": {}, "finish_reason": "length"}
    return orjson.dumps(
        {"id": "c", "object": "chat.completion.chunk", "choices": [finished], "usage": usage}
    ).decode()


def thought(text: str) -> str:
    choice = {"index": 0, "delta": {"reasoning_content": text}, "finish_reason": None}
    return orjson.dumps(
        {"id": "c", "object": "chat.completion.chunk", "choices": [choice]}
    ).decode()


@pytest.fixture(autouse=True)
async def _thinks_first(api: Api) -> None:
    await mark(api, is_reasoning=True)


async def mark(api: Api, *, is_reasoning: bool) -> None:
    await in_database(lambda: PublicModel.objects.update(is_reasoning=is_reasoning))
    await api.runtime.catalogue.refresh()


@asynccontextmanager
async def thinking(
    api: Api, *rest: str, opening: tuple[str, ...] = (OPENING,)
) -> AsyncIterator[Canned]:
    """An upstream that begins its answer, and goes on with the rest when it is told to."""
    # Without the end of the chunked body, and what follows without a head.
    begun = stream_answer(*opening).removesuffix(b"0\r\n\r\n")
    then = stream_answer(*rest).partition(b"\r\n\r\n")[2]
    async with serve_canned(begun, then=then) as canned:
        await api.send_to(canned.base_url)
        yield canned
        canned.goes_on.set()


async def leave(api: Api, customer: Customer, *, after: bytes = b'"delta"', **body: Any) -> None:
    """Open a stream with a socket of its own, and close that once this was seen of it."""
    host, port = api.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    asked = orjson.dumps(
        {"model": "gpt-4", "messages": HELLO, "stream": True, "max_tokens": 100, **body}
    )
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nContent-Length: %d\r\n\r\n%b"
        % (customer.secret.encode(), len(asked), asked)
    )
    if after:
        async with asyncio.timeout(20):
            await reader.readuntil(after)
    else:
        await until(lambda: [call for call in api.runtime.inflight if call.may_have_run])
    writer.close()
    await until(lambda: all(call.connection.has_left for call in api.runtime.inflight))


async def ended(api: Api, customer: Customer) -> UsageRecord:
    await api.idle()
    record = await customer.record()
    assert record is not None
    assert (await customer.balance()).held_credits == 0
    assert record.charged_credits <= record.held_credits
    return record


def is_read_on(api: Api) -> bool:
    return any(call.reads_on for call in api.runtime.inflight)


async def test_it_is_charged_the_usage_that_comes_later(api: Api, alice: Customer) -> None:
    async with thinking(api, usage_chunk(), "[DONE]") as canned:
        await leave(api, alice)
        assert is_read_on(api)
        canned.goes_on.set()
        record = await ended(api, alice)

    assert (record.outcome, record.source) == ("client_left", "reported")
    assert record.charged_credits == REPORTED


async def test_it_is_never_charged_more_than_its_hold(api: Api, alice: Customer) -> None:
    expensive = usage_chunk().replace('"prompt_tokens":9', '"prompt_tokens":5000')
    assert expensive != usage_chunk()
    async with thinking(api, expensive, "[DONE]") as canned:
        await leave(api, alice)
        canned.goes_on.set()
        record = await ended(api, alice)

    assert record.charged_credits == record.held_credits < 5_000


async def test_it_is_cancelled_once_something_is_seen(api: Api, alice: Customer) -> None:
    async with thinking(api, chunk("Hello"), opening=(OPENING,)) as canned:
        # The rest does not end the answer.
        canned.then = canned.then.removesuffix(b"0\r\n\r\n")
        await leave(api, alice)
        canned.goes_on.set()
        record = await ended(api, alice)

    assert (record.outcome, record.source) == ("client_left", "estimated")
    assert record.charged_credits == record.prompt_tokens + 1


async def test_it_is_cancelled_when_nothing_comes_for_long(
    api: Api, alice: Customer, settings: Any
) -> None:
    settings.REASONING_DRAIN_S = 1
    async with thinking(api, usage_chunk()):
        await leave(api, alice)
        record = await ended(api, alice)

    assert (record.outcome, record.completion_tokens) == ("client_left", 0)
    assert record.charged_credits == record.prompt_tokens > 0


async def test_a_silent_upstream_makes_it_no_gift(api: Api, alice: Customer) -> None:
    async with thinking(api, usage_chunk()):
        await api.limit_providers(idle_timeout_s=1, first_byte_timeout_s=60, total_timeout_s=90)
        await leave(api, alice)
        record = await ended(api, alice)

    assert record.outcome == "client_left"
    assert record.charged_credits == record.prompt_tokens > 0


async def test_it_is_read_on_before_the_upstream_has_said_anything(
    api: Api, alice: Customer
) -> None:
    whole = stream_answer(OPENING, usage_chunk(), "[DONE]")
    async with serve_canned(b"", then=whole) as canned:
        await api.send_to(canned.base_url)
        await leave(api, alice, after=b"")
        assert is_read_on(api)
        canned.goes_on.set()
        record = await ended(api, alice)

    assert record.charged_credits == REPORTED


async def test_it_is_free_if_the_upstream_refuses_it(api: Api, alice: Customer) -> None:
    refusal = json_answer(500, {"error": {"message": "no", "type": "server_error"}})
    async with serve_canned(b"", then=refusal) as canned:
        await api.send_to(canned.base_url)
        await leave(api, alice, after=b"")
        canned.goes_on.set()
        await api.idle()

    assert await alice.record() is None
    assert (await alice.balance()).available_credits == 10_000


@pytest.mark.parametrize("seen", [chunk("Hello"), thought("Hello")])
async def test_it_is_cancelled_at_once_if_something_was_seen(
    api: Api, alice: Customer, seen: str
) -> None:
    async with thinking(api, usage_chunk(), opening=(OPENING, seen)):
        await leave(api, alice, after=b"Hello")
        async with asyncio.timeout(5):
            record = await ended(api, alice)

    assert (record.outcome, record.completion_tokens) == ("client_left", 1)


async def test_any_other_model_is_cancelled_at_once(api: Api, alice: Customer) -> None:
    await mark(api, is_reasoning=False)
    async with thinking(api, usage_chunk()):
        await leave(api, alice)
        async with asyncio.timeout(5):
            record = await ended(api, alice)

    assert record.charged_credits == record.prompt_tokens


async def test_an_answer_in_one_piece_has_as_long_to_finish(
    api: Api, alice: Customer, settings: Any
) -> None:
    settings.CLIENT_LEFT_GRACE_S = 1
    message = {"role": "assistant", "content": "Hi"}
    usage = {"prompt_tokens": 9, "completion_tokens": 40}
    answer = json_answer(
        200, {"id": "c", "choices": [{"index": 0, "message": message}], "usage": usage}
    )
    async with serve_canned(b"", then=answer) as canned:
        await api.send_to(canned.base_url)
        await leave(api, alice, after=b"", stream=False)
        # The timer looks every second: without the longer time, this would have ended it.
        [call] = api.runtime.inflight
        call.check(asyncio.get_running_loop().time() + 30)
        canned.goes_on.set()
        record = await ended(api, alice)

    assert record.charged_credits == REPORTED
