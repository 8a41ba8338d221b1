"""Who serves what, and what a stopping process says of itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.linked import linked
from tests.proxy.conftest import until
from tests.tokenproxy_site.database import database_away
from tokenproxy_site.application import Application


async def site(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for Django: it answers every page alike."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a page"})


async def test_a_process_that_is_about_to_stop_says_that_it_is_not_ready() -> None:
    # No lifespan has begun, or it has ended: nothing of the API can be served.
    transport = httpx.ASGITransport(app=linked(Application(site)))

    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        ready, page = await client.get("/readyz"), await client.get("/packs/")

    assert (ready.status_code, ready.json()["process"]) == (503, "it is about to stop")
    assert (page.status_code, page.text) == (200, "a page")


@pytest.mark.django_db(transaction=True)
async def test_a_process_starts_without_postgresql_and_waits_for_it(
    journal_dir: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.CATALOGUE_REFRESH_S = 0.05
    monkeypatch.setattr("proxy.serving.runtime.FIRST_READ_S", 0.05)
    application = Application(site)

    async with AsyncExitStack() as stack:
        with database_away():
            client = await stack.enter_async_context(living(application))
            unready, page = await client.get("/readyz"), await client.get("/packs/")
        await until(lambda: application.get_runtime().catalogue.is_read)
        ready = await client.get("/readyz")

    assert (unready.status_code, page.status_code, ready.status_code) == (503, 200, 200)
    assert unready.json()["process"] == "it has not read the catalogue yet"


async def call(settings: Any, *, is_https: bool, protocol: str, peer: str) -> Any:
    """Call the API in the clear, from this peer."""
    settings.IS_HTTPS = is_https
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]
    async with AsyncExitStack() as stack:
        application = Application(site)
        await stack.enter_async_context(living(application))
        transport = httpx.ASGITransport(app=linked(application), client=(peer, 5_000))
        client = httpx.AsyncClient(transport=transport, base_url="http://testserver")
        await stack.enter_async_context(client)
        return await client.get("/v1/models", headers={"x-forwarded-proto": protocol})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("is_https", "protocol", "peer", "status"),
    [
        (True, "", "10.1.1.1", 403),
        (True, "https", "203.0.113.9", 403),
        (True, "https", "10.1.1.1", 401),
        (False, "", "203.0.113.9", 401),
    ],
)
@pytest.mark.usefixtures("journal_dir")
async def test_a_call_in_the_clear_is_refused_where_the_site_is_https(
    settings: Any, *, is_https: bool, protocol: str, peer: str, status: int
) -> None:
    settings.SECURE_HSTS_SECONDS = 60

    answer = await call(settings, is_https=is_https, protocol=protocol, peer=peer)

    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert answer.headers["x-content-type-options"] == "nosniff"
    hsts = "max-age=60; includeSubDomains; preload"
    assert answer.headers.get("strict-transport-security") == (hsts if is_https else None)


@asynccontextmanager
async def living(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    """Begin an application's lifespan, and end it."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    told: asyncio.Queue[Any] = asyncio.Queue()
    life = asyncio.create_task(application({"type": "lifespan"}, inbox.get, told.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await told.get())["type"] == "lifespan.startup.complete"
    transport = httpx.ASGITransport(app=linked(application))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            yield client
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await life


async def test_a_page_knows_its_client_from_the_proxies_that_are_trusted(settings: Any) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]
    seen: list[Any] = []

    async def remember(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"])
        await site(scope, receive, send)

    forwarded = {"x-forwarded-for": "1.1.1.1, 203.0.113.5"}
    for peer in ("10.0.0.1", "127.0.0.1"):
        transport = httpx.ASGITransport(app=linked(Application(remember)), client=(peer, 5_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            await client.get("/packs/", headers=forwarded)

    assert seen == [("203.0.113.5", 5_000), ("127.0.0.1", 5_000)]
