"""Who serves what, and what a stopping process says of itself."""

from typing import Any

import httpx

from tokenproxy_site.application import Application


async def site(scope: Any, receive: Any, send: Any) -> None:
    """Stand in for Django: it answers every page alike."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a page"})


async def test_a_process_that_is_about_to_stop_says_that_it_is_not_ready() -> None:
    # No lifespan has begun, or it has ended: nothing of the API can be served.
    transport = httpx.ASGITransport(app=Application(site))

    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        ready, page = await client.get("/readyz"), await client.get("/packs/")

    assert (ready.status_code, ready.json()["process"]) == (503, "it is about to stop")
    assert (page.status_code, page.text) == (200, "a page")
