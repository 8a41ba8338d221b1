"""What the connection bounds before there is a request: headers, time, and how many there are."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_network
from typing import Any

import pytest
import uvicorn

from proxy.http import protocol
from proxy.http.protocol import MAX_HEAD_BYTES, MAX_HEADERS, BoundedProtocol
from tests.proxy.conftest import Server
from tests.proxy.wire import PATIENCE_S, Client, assert_refused

HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


@asynccontextmanager
async def served(**options: Any) -> AsyncIterator[int]:
    """Serve an application that answers before it reads a body, and give its port."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, http=BoundedProtocol, lifespan="off", log_level="critical", **options
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        await serving


def headers_of(count: int) -> bytes:
    return b"".join(b"x-%d: y\r\n" % number for number in range(count))


@pytest.mark.parametrize(
    "head",
    [
        HEAD + headers_of(MAX_HEADERS) + b"\r\n",
        HEAD + b"x: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /" + b"y" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"x: " + b"y" * MAX_HEAD_BYTES,
        HEAD + headers_of(20_000),
        b"GET /" + b"y" * 16_000_000,
    ],
    ids=["number", "size", "line", "size without end", "number without end", "line without end"],
)
async def test_headers_beyond_the_limits_are_refused(head: bytes) -> None:
    async with served() as port:
        client = await Client.connect(port)
        client.send(head)

        answer = await client.read_all()

    assert_refused(answer, 431, "headers_too_large")


async def test_headers_up_to_the_limits_are_served_however_they_are_cut() -> None:
    head = HEAD + headers_of(MAX_HEADERS - 2) + b"x: " + b"y" * 20_000 + b"\r\n\r\n"
    async with served() as port:
        client = await Client.connect(port)

        for at in range(0, len(head), 1_000):
            client.send(head[at : at + 1_000])
            await asyncio.sleep(0)
        first = await client.read_answer()
        client.send(head + head)
        second, third = await client.read_answer(), await client.read_answer()
        await client.close()

    assert {answer.split(b"\r\n")[0] for answer in (first, second, third)} == {b"HTTP/1.1 200 OK"}


async def test_headers_that_do_not_end_are_timed_out(settings: Any) -> None:
    settings.HEADER_TIMEOUT_S = 0.2
    async with served() as port:
        client = await Client.connect(port)
        client.send(HEAD)

        answer = await client.read_all()

    assert_refused(answer, 408, "request_timeout")


async def test_the_headers_of_a_later_request_are_timed_out_too(settings: Any) -> None:
    settings.HEADER_TIMEOUT_S = 0.2
    async with served() as port:
        client = await Client.connect(port)
        client.send(HEAD + b"\r\n")
        await client.read_answer()
        client.send(HEAD)

        answer = await client.read_all()

    assert_refused(answer, 408, "request_timeout")


async def test_a_connection_on_which_nothing_comes_is_closed_in_silence(settings: Any) -> None:
    settings.HEADER_TIMEOUT_S = 0.2
    async with served() as port:
        client = await Client.connect(port)

        answer = await client.read_all()

    assert answer == b""


async def test_a_body_that_nobody_reads_ends_the_connection_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 0.2)
    async with served() as port:
        client = await Client.connect(port)
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")

        answer = await client.read_all()

    assert answer.endswith(b"ok")


async def test_no_more_of_a_body_that_nobody_reads_is_taken_than_a_client_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(protocol, "LINGER_S", 1.0)
    async with served() as port:
        client = await Client.connect(port)
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000000\r\n\r\n")
        answer = await client.read_answer()

        sent = 0
        with suppress(ConnectionError):
            while sent < 400_000_000:
                client.send(b"y" * 1_000_000)
                await client.drain()
                sent += 1_000_000
        await client.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")
    # And what fits into the buffers on the way.
    assert sent < 100_000_000


async def test_a_body_that_nobody_reads_may_still_come_before_the_next_request() -> None:
    async with served() as port:
        client = await Client.connect(port)
        client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        await client.read_answer()

        client.send(b"y" * 100_000 + HEAD + b"\r\n")
        answer = await client.read_answer()
        await client.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_one_address_opens_so_many_connections_and_others_are_still_served(
    settings: Any,
) -> None:
    settings.MAX_CONNECTIONS_PER_ADDRESS = 2
    async with served() as port:
        busy = [await Client.connect(port, "127.0.0.2") for _ in range(2)]
        refused = await Client.connect(port, "127.0.0.2")
        other = await Client.connect(port, "127.0.0.3")
        answer = await refused.read_all()
        other.send(HEAD + b"\r\n")
        served_other = await other.read_answer()

        for client in [*busy, other]:
            await client.close()

    assert_refused(answer, 503, "server_busy")
    assert served_other.startswith(b"HTTP/1.1 200 OK")


async def test_a_connection_that_was_closed_makes_room(settings: Any) -> None:
    settings.MAX_CONNECTIONS_PER_ADDRESS = 1
    async with served() as port:
        first = await Client.connect(port)
        await first.close()

        async with asyncio.timeout(PATIENCE_S):
            # The server notices in its own time.
            while protocol.connections.count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        second = await Client.connect(port)
        second.send(HEAD + b"\r\n")
        answer = await second.read_answer()
        await second.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")


async def test_trusted_proxies_open_as_many_as_the_process_may_have(settings: Any) -> None:
    settings.MAX_CONNECTIONS_PER_ADDRESS = 1
    settings.MAX_CONNECTIONS = 3
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.2")]
    async with served() as port:
        clients = [await Client.connect(port, "127.0.0.2") for _ in range(3)]
        clients[-1].send(HEAD + b"\r\n")
        answer = await clients[-1].read_answer()
        beyond = await (await Client.connect(port, "127.0.0.2")).read_all()

        for client in clients:
            await client.close()

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert_refused(beyond, 503, "server_busy")
