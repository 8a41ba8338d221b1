"""What a page, or Stripe's webhook, takes of a body: only so much, and only for so long."""

import asyncio
from typing import Any

import pytest

from proxy.http import bodies
from tests.linked import linked
from tests.proxy.wire import Client, assert_refused
from tests.tokenproxy_site.server import served
from tokenproxy_site import application

PATHS = ["/accounts/login/", "/admin/login/", "/billing/stripe/webhook", "/nowhere"]
LIMIT = 1024 * 1024


async def begin(port: int, path: str, *, length: int, body: bytes = b"") -> Client:
    client = await Client.connect(port)
    client.send(
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" % (path.encode(), length) + body
    )
    return client


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_beyond_the_limit_is_refused_before_it_comes(path: str) -> None:
    async with served() as port:
        client = await begin(port, path, length=LIMIT + 1)
        answer = await client.read_answer()
        await client.close()

    assert_refused(answer, 413, "payload_too_large")


async def test_a_body_beyond_the_limit_is_refused_if_it_hides_its_length() -> None:
    async with served() as port:
        client = await Client.connect(port)
        client.send(
            b"POST /accounts/login/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            + (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 17
        )
        answer = await client.read_answer()
        await client.close()

    assert_refused(answer, 413, "payload_too_large")


@pytest.mark.parametrize("path", PATHS)
async def test_a_body_that_stops_is_timed_out(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "STALL_S", 0.2)
    async with served() as port:
        client = await begin(port, path, length=100, body=b"a")
        answer = await client.read_answer()
        await client.close()

    assert_refused(answer, 408, "request_timeout")


async def test_forms_share_a_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "FORMS_BYTES", 100_000)
    async with served() as port:
        client = await begin(port, "/accounts/login/", length=200_000, body=b"x" * 200_000)
        answer = await client.read_answer()
        await client.close()

    assert_refused(answer, 503, "server_busy")


async def test_a_page_gets_its_form_as_it_was_sent() -> None:
    seen: list[bytes] = []

    async def page(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        seen.append(message["body"])
        assert not message["more_body"]
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    inbox: asyncio.Queue[Any] = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": b"a=", "more_body": True})
    inbox.put_nowait({"type": "http.request", "body": b"b", "more_body": False})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "headers": [(b"content-length", b"3")],
        "client": ("127.0.0.1", 1),
    }
    await linked(application.Application(page))(scope, inbox.get, send)

    assert seen == [b"a=b"]
    assert sent[0]["status"] == 204
