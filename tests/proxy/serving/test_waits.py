"""A server that hangs is waited for two seconds at most, whatever is asked of it."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from django.db import connection, transaction

from accounts.models import ApiKey
from billing.wallet.connection import TIMEOUT_S
from devstack.valkey import Valkey
from proxy.database import PATIENCE_S
from tests.proxy.conftest import Api, Customer, assert_envelope

# What a busy machine adds. Each wait was five seconds before, or had no end.
SLACK_S = 2.5
CALLS = {
    "/v1/models": 200,
    "/v1/models/gpt-4": 200,
    "/v1/key": 503,
    "/v1/credits": 503,
    "/v1/usage/req_1": 503,
}


def test_a_client_waits_for_two_seconds_at_most() -> None:
    assert max(TIMEOUT_S, PATIENCE_S) < 2


@contextmanager
def paused(server: Valkey) -> Iterator[None]:
    server.process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.signal(signal.SIGCONT)


async def timed(answer: asyncio.Task[httpx.Response]) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return await answer, time.monotonic() - started


async def test_a_redis_that_hangs_is_waited_for_in_no_face(
    api: Api, alice: Customer, valkey_server: Valkey
) -> None:
    await api.chat(alice)

    with paused(valkey_server):
        asked = [
            timed(asyncio.ensure_future(api.client.get(path, headers=alice.headers)))
            for path in CALLS
        ]
        chats = [timed(asyncio.ensure_future(api.chat(alice)))]
        repeated = api.client.post(
            "/v1/chat/completions",
            headers={**alice.headers, "Idempotency-Key": "k"},
            json={"model": "gpt-4", "messages": [{"role": "user", "content": "Hello!"}]},
        )
        chats.append(timed(asyncio.ensure_future(repeated)))
        found = await asyncio.gather(*asked, *chats)

    statuses = [response.status_code for response, _ in found]
    assert statuses == [*CALLS.values(), 503, 503]
    assert max(seconds for _, seconds in found) < TIMEOUT_S + SLACK_S
    await api.idle()


@contextmanager
def locked(model: type[ApiKey]) -> Iterator[None]:
    """Let nobody read a table, as in a PostgreSQL that hangs."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {model._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        yield


async def hold_locked(until: asyncio.Event, is_locked: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def hold() -> None:
        try:
            with locked(ApiKey):
                loop.call_soon_threadsafe(is_locked.set)
                asyncio.run_coroutine_threadsafe(until.wait(), loop).result(30)
        finally:
            connection.close()

    await asyncio.to_thread(hold)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/key"])
async def test_a_postgresql_that_hangs_is_not_waited_for(
    api: Api, alice: Customer, path: str
) -> None:
    may_go_on, is_locked = asyncio.Event(), asyncio.Event()
    holding = asyncio.create_task(hold_locked(may_go_on, is_locked))
    await is_locked.wait()

    try:
        response, seconds = await timed(
            asyncio.ensure_future(api.client.get(path, headers=alice.headers))
        )
    finally:
        may_go_on.set()
        await holding

    assert response.status_code == 503
    assert_envelope(response, code="service_unavailable")
    assert seconds < PATIENCE_S + SLACK_S
