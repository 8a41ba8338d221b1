"""The connection below ASGI: uvicorn's HTTP protocol with bounds on what a stranger may send.

uvicorn takes headers of any size and number, waits for their end for ever, and keeps any number of
connections. Every process of the product is started with this class (`--http`); the table of what
it bounds is in docs/operations.md.
"""

import asyncio
from collections import Counter
from typing import Any

from django.conf import settings
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from proxy.errors import ApiError, HeadersTooLarge, RequestTooSlow, ServerBusy
from proxy.http.client_address import is_within, parse_address
from proxy.http.link import LINK, Link, Outlet
from proxy.http.refusals import encode, refuse

# Of the request line and all headers. Proxies in front of us allow 8 to 32 KB.
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
# A client that is still sending its body when its request is answered would lose the answer with
# the connection. So the connection lasts for so long, and so much of the rest is read.
LINGER_S = 2.0
LINGER_BYTES = 1024 * 1024


class Connections:
    """The open connections of this process, in all and by address."""

    def __init__(self) -> None:
        self.count = 0
        self._addresses: Counter[str] = Counter()

    def may_open(self, address: str) -> bool:
        """Tell whether one more may be opened from an address."""
        if self.count >= settings.MAX_CONNECTIONS:
            return False
        if self._addresses[address] < settings.MAX_CONNECTIONS_PER_ADDRESS:
            return True
        parsed = parse_address(address)
        return parsed is None or is_within(parsed, settings.TRUSTED_PROXIES)

    def add(self, address: str) -> None:
        """Count a connection that was opened."""
        self.count += 1
        self._addresses[address] += 1

    def remove(self, address: str) -> None:
        """Count a connection that was closed."""
        self.count -= 1
        self._addresses[address] -= 1
        if not self._addresses[address]:
            del self._addresses[address]


connections = Connections()


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._served = self.app
        self._address: str | None = None
        # Of the request that runs, or ran last.
        self._link: Link | None = None
        self._outlet: Outlet | None = None
        # Of the request whose head is being read; nothing of it has come while the size is 0.
        self._is_in_head = True
        self._head_bytes = 0
        self._is_in_body = False
        # Of a body that nobody will read.
        self._left_bytes = 0
        # What ends the connection if nothing happens: it waits for a head, or for a slow client.
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = self.client[0] if self.client else ""
        if not connections.may_open(address):
            self._refuse(ServerBusy("There are too many connections. Try again in a moment."))
            return
        connections.add(address)
        self._address = address
        self._wait(settings.HEADER_TIMEOUT_S, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)
        if self._link is not None:
            self._link.lose()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to uvicorn's other protocol, which the application lets close."""
        self._forget()
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._is_in_body and self.cycle.response_complete:
            self._left_bytes += len(data)
            if self._left_bytes > LINGER_BYTES:
                self.flow.pause_reading()
        if self.transport.is_closing() or not self._is_in_head or not self._head_bytes:
            return
        # A part of a head has come, and its end has not.
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadersTooLarge())
        elif self._timer is None:
            self._wait(settings.HEADER_TIMEOUT_S, self._head_is_late)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head = True

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        self._is_in_head, self._head_bytes = False, 0
        self._is_in_body, self._left_bytes = True, 0
        self.app = refuse_head if self._is_head_too_large() else self._served
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head, self._is_in_body = True, False
        if self._timer is not None and self.cycle.response_complete:
            # The rest of a body that nobody read has come after all.
            self._stop_waiting()
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._link = Link(cycle.message_event, cycle.flow)
        scope: Any = cycle.scope
        scope[LINK] = self._link
        cycle.transport = self._outlet = Outlet(self.transport)  # type: ignore[assignment]  # as far as it is used
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        if self._outlet is not None:
            self._outlet.flush()
        super().on_response_complete()
        if self._is_in_body:
            self._wait(LINGER_S, self._close)
        elif self.transport.get_write_buffer_size():
            self._wait(settings.SLOW_READER_S, self._give_up)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose client never read its last answer."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def _is_head_too_large(self) -> bool:
        if len(self.headers) > MAX_HEADERS:
            return True
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        return size > MAX_HEAD_BYTES

    def _forget(self) -> None:
        self._stop_waiting()
        if self._address is not None:
            connections.remove(self._address)
            self._address = None

    def _wait(self, seconds: float, then: Any) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _head_is_late(self) -> None:
        if self._head_bytes:
            self._refuse(RequestTooSlow())
        else:
            self._close()

    def _close(self) -> None:
        self.transport.close()

    def _give_up(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _refuse(self, error: ApiError) -> None:
        """Answer a request that has no path yet, and hang up."""
        headers, body = encode(error)
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[error.status] + lines + b"\r\n" + body)
        self.transport.close()


async def refuse_head(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request whose headers are too many or too large: an ASGI application."""
    await refuse(send, HeadersTooLarge())
