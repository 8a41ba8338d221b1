"""A web process that is told to stop: what becomes of the requests in flight."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.proxy.conftest import Customer
from tests.proxy.streams import read_events, text_of
from tests.proxy.web_process import start_web


@pytest.fixture
def make_web(gpt_4: None) -> Callable[..., Any]:
    return start_web


async def test_it_finishes_its_streams_before_it_stops(
    make_web: Callable[..., Any], alice: Customer
) -> None:
    async with make_web(DRAIN_TIMEOUT_S="20") as web:
        async with web.stream(alice, "[[tokens=40]] [[tps=20]]") as response:
            chunks = response.aiter_raw()
            seen = await anext(chunks)
            web.process.terminate()
            async for chunk in chunks:
                seen += chunk
        async with asyncio.timeout(10):
            await web.process.wait()

    events = read_events(seen)
    record = await alice.record()
    assert events[-1] == "[DONE]"
    assert len(text_of(events).split()) == 40
    assert record is not None
    assert (record.outcome, record.completion_tokens) == ("completed", 40)


async def test_it_ends_and_settles_a_stream_that_outlasts_the_drain(
    make_web: Callable[..., Any], alice: Customer
) -> None:
    async with make_web(DRAIN_TIMEOUT_S="1") as web:
        async with web.stream(alice, "[[tokens=400]] [[tps=20]]") as response:
            chunks = response.aiter_raw()
            seen = await anext(chunks)
            web.process.terminate()
            async for chunk in chunks:
                seen += chunk
        async with asyncio.timeout(10):
            await web.process.wait()

    events = read_events(seen)
    record = await alice.record()
    assert events[-1]["error"]["code"] == "upstream_unavailable"
    assert record is not None
    assert record.outcome == "broken"
    assert record.completion_tokens == len(text_of(events).split()) > 0
    assert (await alice.balance()).held_credits == 0
