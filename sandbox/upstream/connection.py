"""The TCP connection under a request: has the client left, wait until it does, hang up on it."""

import asyncio
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# How long a hang-up waits for bytes already written to leave, before it drops them.
CLOSE_TIMEOUT_S = 5.0


class ClientLeft(Exception):
    """The client closed its connection before the answer was complete."""


class Connection:
    """What an endpoint may know and do about the socket below it."""

    __slots__ = ("_flow", "_transport", "_waiter", "is_lost")

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self.is_lost = False
        self._transport = transport
        self._flow = flow
        self._waiter: asyncio.Future[None] | None = None

    def watch(self) -> None:
        """Read on: uvicorn pauses the socket under a large body, and a pause hides a hang-up."""
        self._flow.resume_reading()

    async def pause(self, seconds: float) -> None:
        """Sleep; raise ClientLeft at once if the client leaves meanwhile."""
        await self._wait(seconds)
        if self.is_lost:
            raise ClientLeft

    async def close(self) -> None:
        """Hang up: what was written still goes out, then the connection ends without more."""
        self._transport.close()
        await self._wait(CLOSE_TIMEOUT_S)
        if not self.is_lost:
            self._transport.abort()
            await self._wait(CLOSE_TIMEOUT_S)

    def lose(self) -> None:
        """Note that the connection is gone and wake whoever waits."""
        self.is_lost = True
        _wake(self._waiter)

    async def _wait(self, seconds: float) -> None:
        if self.is_lost:
            return
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        timer = loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class WatchedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol that hands each request its connection.

    ASGI alone can neither close a connection without an answer nor tell of a hang-up without a
    task per request that waits for it.
    """

    connection: Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.connection = Connection(transport, self.flow)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.connection.lose()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        state: dict[str, Any] = self.scope["state"]
        state["connection"] = self.connection
