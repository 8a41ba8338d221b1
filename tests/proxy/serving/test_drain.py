"""A web process that is told to stop, or killed: what becomes of the requests in flight."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.db import connection

from tests.proxy.conftest import Customer
from tests.proxy.streams import read_events, text_of


@dataclass
class WebProcess:
    """uvicorn with the site's application, as it is deployed."""

    process: asyncio.subprocess.Process
    base_url: str

    @asynccontextmanager
    async def stream(self, customer: Customer, prompt: str) -> AsyncIterator[httpx.Response]:
        body = {
            "model": "gpt-4",
            "messages": [{"role": "user", "content": prompt}],
            "stream": True,
            "max_tokens": 500,
        }
        async with (
            httpx.AsyncClient(base_url=self.base_url, timeout=30) as client,
            client.stream(
                "POST", "/v1/chat/completions", headers=customer.headers, json=body
            ) as response,
        ):
            yield response


@asynccontextmanager
async def start_web(**settings: str) -> AsyncIterator[WebProcess]:
    listener = socket.create_server(("127.0.0.1", 0))
    database = connection.settings_dict
    environment = {
        **os.environ,
        **settings,
        "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database),
        "ALLOW_LOOPBACK_PROVIDERS": "1",
        "LOG_LEVEL": "WARNING",
    }
    port = listener.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "uvicorn", "tokenproxy_site.asgi:application"),
        *("--fd", str(listener.fileno()), "--no-access-log", "--log-level", "warning"),
        *("--no-proxy-headers", "--http", "proxy.http.protocol:BoundedProtocol"),
        env=environment,
        pass_fds=[listener.fileno()],
    )
    listener.close()
    web = WebProcess(process, f"http://127.0.0.1:{port}")
    try:
        yield web
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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
