"""The client's side of one request: the body, the answer, and whether the client is still there.

All that is written to the client goes through here, so every answer has its request id.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from secrets import token_hex
from typing import Any

from django.http import HttpResponse, HttpResponseBase

from common.request_lines import note_request
from proxy.errors import ClientLeft
from proxy.http.cors import OF_EVERY_ANSWER
from proxy.http.link import LINK, Link

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def new_request_id() -> str:
    """Return an id for a request, which its answer and its receipt name."""
    return f"req_{token_hex(16)}"


# The response of a view that has sent its answer itself.
ALREADY_SENT = HttpResponse()


class ClientConnection:
    """One request and its answer. `is_writing` while the client is too slow to take more."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.request_id = new_request_id()
        self.started_at_ms = time.time_ns() // 1_000_000
        self.has_left = False
        self.has_started = False
        self.is_finished = False
        self.is_writing = False
        # The size of the body that was read.
        self.body_bytes = 0
        # When the last write began and ended, by the monotonic clock.
        self.writing_since = 0.0
        self.written_at = 0.0
        self._started_at = time.perf_counter()
        self._receive = receive
        self._send = send
        self._link: Link = scope[LINK]
        self._on_left: Callable[[], None] | None = None

    @property
    def age_ms(self) -> int:
        """Milliseconds since the request arrived."""
        return int((time.perf_counter() - self._started_at) * 1_000)

    def header(self, name: bytes) -> str:
        """Return a header of the request, "" if it has none; of one that is repeated, all."""
        found = [value for key, value in self.scope["headers"] if key == name]
        return b",".join(found).decode("latin-1")

    @property
    def declared_bytes(self) -> int:
        """The size of the body by its Content-Length; 0 if the request has none."""
        declared = self.header(b"content-length")
        # Longer than any limit, and than what Python reads as a number in no time.
        return int(declared[:20]) if declared.isdecimal() else 0

    @property
    def has_part(self) -> bool:
        """Whether the next part of the body has come."""
        return self._link.has_message

    async def receive_part(self) -> tuple[bytes, bool]:
        """Return the next part of the body, and whether it was the last. Raises ClientLeft."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.has_left = True
            raise ClientLeft
        part: bytes = message.get("body", b"")
        self.body_bytes += len(part)
        return part, not message.get("more_body", False)

    def watch(self, on_left: Callable[[], None]) -> None:
        """Call `on_left` once if the client leaves before its answer is finished.

        A later call replaces the callback. If the client has left already, it is called at once.
        """
        self._on_left = on_left
        self._link.watch(self._lost)

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send the status and the headers."""
        self.has_started = True
        note_request(self.scope, status=status)
        encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        encoded.append((b"x-request-id", self.request_id.encode()))
        encoded.append((b"openai-processing-ms", b"%d" % self.age_ms))
        encoded += OF_EVERY_ANSWER
        await self._write({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, chunk: bytes) -> None:
        """Send a part of the body; waits while the client reads slowly."""
        await self._write({"type": "http.response.body", "body": chunk, "more_body": True})

    async def finish(self, last_chunk: bytes = b"") -> None:
        """Send the end of the body. Nothing can follow."""
        self.is_finished = True
        await self._write({"type": "http.response.body", "body": last_chunk})

    async def answer(self, headers: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer."""
        await self.start(200, [*headers.items(), ("content-length", str(len(body)))])
        await self.finish(body)

    async def respond(self, response: HttpResponseBase) -> None:
        """Send a whole response, unless the view has sent its own."""
        if self.has_started:
            return
        if not isinstance(response, HttpResponse):
            raise TypeError("a stream is sent by its view")
        body = response.content
        headers: Mapping[str, str] = response.headers
        # A HEAD request and a 204 have no body, but their headers are those of the answer.
        await self.start(response.status_code, [*headers.items(), *_length(response, body)])
        await self.finish(b"" if self.scope["method"] == "HEAD" else body)

    def close(self) -> None:
        """Watch no more. The handler that made the connection calls it.

        Lets go of the call, which would otherwise stay in memory until Python looks for cycles.
        """
        self._on_left = None
        self._link.let_go()

    async def _write(self, message: Message) -> None:
        if self.has_left:
            return
        self.is_writing = True
        self.writing_since = time.monotonic()
        try:
            await self._send(message)
        except OSError:
            # Some servers raise this when the client is gone; others say nothing.
            self.has_left = True
        finally:
            self.is_writing = False
            self.written_at = time.monotonic()

    def _lost(self) -> None:
        # Clients also hang up after an answer is finished.
        if not self.is_finished:
            self.has_left = True
            if self._on_left is not None:
                self._on_left()


def _length(response: HttpResponse, body: bytes) -> list[tuple[str, str]]:
    return [] if response.status_code == 204 else [("content-length", str(len(body)))]
