"""A page waits for a server that hangs as long as its reader does, and then says so."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from django.db import connection

from accounts.models import User
from billing.wallet.sync_client import SyncWalletClient
from common.postgres import CHECK_S
from common.waits import PAGE_REDIS_S
from devstack.valkey import Valkey
from proxy.database import in_database
from tests.conftest import signed_in
from tests.proxy.web_process import start_web

pytestmark = pytest.mark.django_db(transaction=True)

# What a busy machine adds. Without the limits a page waits for ten seconds, or has no end.
SLACK_S = 4.0
POOL_S = 2.0


class Wire:
    """A way to PostgreSQL that can be made to swallow all that is sent, without an end."""

    def __init__(self) -> None:
        self.may_pass = asyncio.Event()
        self.may_pass.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on to the real server."""
        settings = connection.settings_dict
        there, back = await asyncio.open_connection(settings["HOST"], int(settings["PORT"]))
        for source, target in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, target))
            self._tasks.add(task)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self.may_pass.wait()
                target.write(data)
                await target.drain()
        except ConnectionError:
            pass
        finally:
            target.close()

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()


@asynccontextmanager
async def wired() -> AsyncIterator[tuple[Wire, str]]:
    """Yield a wire and the URL that leads to PostgreSQL over it."""
    wire, settings = Wire(), connection.settings_dict
    server = await asyncio.start_server(wire.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield (
            wire,
            f"postgres://{settings['USER']}:{settings['PASSWORD']}@127.0.0.1:{port}/{settings['NAME']}",
        )
    finally:
        server.close()
        wire.close()


@contextmanager
def paused(server: Valkey) -> Iterator[None]:
    server.process.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.signal(signal.SIGCONT)


def cookies_of(user: User) -> dict[str, str]:
    return {name: morsel.value for name, morsel in signed_in(user).cookies.items()}


async def timed(client: httpx.AsyncClient, path: str) -> tuple[httpx.Response, float]:
    started = time.monotonic()
    return await client.get(path), time.monotonic() - started


async def test_no_page_waits_for_a_postgresql_that_hangs(
    redis_wallets: SyncWalletClient, alice: User
) -> None:
    cookies = await in_database(lambda: cookies_of(alice))
    async with (
        wired() as (wire, url),
        start_web(DATABASE_URL=url) as web,
        httpx.AsyncClient(base_url=web.base_url, timeout=60, cookies=cookies) as client,
    ):
        before = await client.get("/dashboard/")
        wire.may_pass.clear()
        found = [await timed(client, path) for path in ("/dashboard/", "/packs/", "/readyz/site")]
        wire.may_pass.set()
        async with asyncio.timeout(20):
            # There is no event to wait for: the pool tries again by itself.
            while (after := await client.get("/dashboard/")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.2)

    assert before.status_code == after.status_code == 200
    assert [response.status_code for response, _ in found] == [503, 503, 503]
    assert "We can't reach a part of our own" in found[0][0].text
    assert found[0][0].headers["Retry-After"] == "5"
    assert max(seconds for _, seconds in found) < POOL_S + CHECK_S + SLACK_S


async def test_no_page_waits_for_a_redis_that_hangs(
    redis_wallets: SyncWalletClient, alice: User, valkey_server: Valkey
) -> None:
    cookies = await in_database(lambda: cookies_of(alice))
    async with (
        start_web() as web,
        httpx.AsyncClient(base_url=web.base_url, timeout=60, cookies=cookies) as client,
    ):
        before = await client.get("/dashboard/")
        with paused(valkey_server):
            found = [
                await timed(client, path)
                for path in ("/dashboard/", "/packs/", "/status/", "/readyz", "/accounts/login/")
            ]
        after = await client.get("/dashboard/")

    assert before.status_code == after.status_code == 200
    assert {response.status_code for response, _ in found} <= {200, 302, 503}
    assert max(seconds for _, seconds in found) < 2 * PAGE_REDIS_S + SLACK_S


async def test_a_statement_that_is_at_work_is_not_given_up(
    redis_wallets: SyncWalletClient, alice: User
) -> None:
    cookies = await in_database(lambda: cookies_of(alice))
    async with (
        start_web() as web,
        httpx.AsyncClient(base_url=web.base_url, timeout=60, cookies=cookies) as client,
    ):
        await client.get("/dashboard/")
        holding = asyncio.create_task(in_database(lambda: hold_sessions(CHECK_S + 1)))
        await asyncio.sleep(0.2)
        response = await client.get("/dashboard/")
        await holding

    assert response.status_code == 200


def hold_sessions(seconds: float) -> None:
    """Let nobody read who is logged in for so long."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")
        time.sleep(seconds)
        cursor.execute("COMMIT")
