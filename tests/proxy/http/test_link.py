"""What a connection tells its running request: that its client has left, or that more has come."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from proxy.http.link import LINK, Link, Outlet
from proxy.http.protocol import BoundedProtocol
from tests.proxy.conftest import Server
from tests.proxy.wire import PATIENCE_S, Client

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
# More than is read before somebody asks for it.
LARGE = 300_000

Serve = Callable[[Link, Any], Awaitable[None]]


@asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[int]:
    """Have each request served by this, given its link and its next message; give the port."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await serve(scope[LINK], receive)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_level="critical")
    server = Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield listener.getsockname()[1]
    finally:
        # A request that was told nothing never ends.
        server.force_exit = True
        server.stop()
        await serving


@pytest.mark.parametrize("size", [0, LARGE])
async def test_a_request_learns_that_its_client_leaves_while_it_runs(size: int) -> None:
    is_running, has_left = asyncio.Event(), asyncio.Event()

    async def serve(link: Link, receive: Any) -> None:
        while (await receive())["more_body"]:
            pass
        link.watch(has_left.set)
        is_running.set()
        await has_left.wait()

    async with served(serve) as port:
        client = await Client.connect(port)
        client.send(HEAD % size + b"y" * size)
        await is_running.wait()
        assert not has_left.is_set()

        await client.close()
        await has_left.wait()


async def test_it_learns_it_although_its_client_has_sent_another_request() -> None:
    is_running, has_left = asyncio.Event(), asyncio.Event()

    async def serve(link: Link, receive: Any) -> None:
        link.watch(has_left.set)
        is_running.set()
        await has_left.wait()

    async with served(serve) as port:
        client = await Client.connect(port)
        client.send(HEAD % 0 + HEAD % 0)
        await is_running.wait()

        await client.close()
        await has_left.wait()


async def test_it_is_told_at_once_if_its_client_has_left_already() -> None:
    is_lost, told = asyncio.Event(), asyncio.Event()

    async def serve(link: Link, receive: Any) -> None:
        while not link.is_lost:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
        is_lost.set()
        link.watch(told.set)
        assert told.is_set()

    async with served(serve) as port:
        client = await Client.connect(port)
        client.send(HEAD % 0)
        await client.close()
        await is_lost.wait()

        await told.wait()


async def test_it_tells_whether_the_next_message_has_come() -> None:
    begun, seen = asyncio.Event(), asyncio.Event()
    found = []

    async def serve(link: Link, receive: Any) -> None:
        await receive()
        found.append(link.has_message)
        begun.set()
        while not link.has_message:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0)
        seen.set()

    async with served(serve) as port:
        client = await Client.connect(port)
        client.send(HEAD % 2 + b"a")
        await begun.wait()
        client.send(b"b")

        await seen.wait()
        await client.close()

    assert found == [False]


class Sent(asyncio.Transport):
    """What was given to a transport, at each call of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[bytes] = []

    def write(self, data: Any) -> None:
        self.calls.append(data)

    def writelines(self, list_of_data: Any) -> None:
        self.calls.append(b"".join(list_of_data))

    def close(self) -> None:
        self.calls.append(b"closed")


def test_the_head_of_an_answer_leaves_with_the_first_of_its_body() -> None:
    sent = Sent()
    outlet = Outlet(sent)

    for part in (b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK", b" one", b"two"):
        outlet.write(part)
    outlet.flush()

    assert sent.calls == [b"HTTP/1.1 100 Continue", b"HTTP/1.1 200 OK one", b"two"]


def test_a_head_that_is_left_alone_leaves_before_the_connection_is_closed() -> None:
    sent = Sent()
    outlet = Outlet(sent)
    outlet.write(b"HTTP/1.1 200 OK")

    outlet.close()

    assert sent.calls == [b"HTTP/1.1 200 OK", b"closed"]


async def test_a_client_is_told_to_go_on_before_it_is_answered() -> None:
    bodies = []

    async def serve(link: Link, receive: Any) -> None:
        bodies.append((await receive())["body"])

    async with served(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
        writer.write(head % 2)
        told = await reader.readuntil(b"\r\n\r\n")
        writer.write(b"hi")
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    assert (told, bodies) == (b"HTTP/1.1 100 Continue\r\n\r\n", [b"hi"])
    assert answer.startswith(b"HTTP/1.1 204 ")
