"""The connection of a running request, beyond what ASGI tells of it.

By ASGI alone, only a task that waits for the next message learns that the client has left, and
whether a message is there is known when it has been waited for: a task, a time-out and some turns
of the event loop for each request, of which hardly any needs them.
"""

from asyncio import Event, Transport
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl

# Where a request's scope has it.
LINK = "tokenproxy.link"
# An answer on the way to the answer, for which a client waits before it sends its body.
_CONTINUE = b"HTTP/1.1 100"


class Link:
    """One running request's connection to its client."""

    __slots__ = ("_flow", "_message", "_on_lost", "is_lost")

    def __init__(self, message: Event, flow: FlowControl) -> None:
        self.is_lost = False
        self._message = message
        self._flow = flow
        self._on_lost: Callable[[], None] | None = None

    @property
    def has_message(self) -> bool:
        """Whether the next message of the request has come."""
        return self._message.is_set()

    def watch(self, on_lost: Callable[[], None]) -> None:
        """Call `on_lost` once the connection is lost; at once if it is lost already."""
        # A large body may have stopped the reading, by which a loss is noticed.
        self._flow.resume_reading()
        self._on_lost = on_lost
        if self.is_lost:
            on_lost()

    def let_go(self) -> None:
        """Tell nobody any more."""
        self._on_lost = None

    def lose(self) -> None:
        """Learn that the connection is lost."""
        self.is_lost = True
        if self._on_lost is not None:
            self._on_lost()


class Outlet:
    """The connection as its request writes to it: the head leaves with the first of the body.

    uvloop sends at once what it is given, and to send something costs more than to make it.
    """

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        # None before there is one, empty once it has left.
        self._head: bytes | None = None

    def write(self, data: bytes) -> None:
        """Send something, in order."""
        if self._head:
            self._transport.writelines((self._head, data))
            self._head = b""
        elif self._head is None and not data.startswith(_CONTINUE):
            self._head = data
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send a head without a body."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Close the connection once all is sent."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or about to be."""
        return self._transport.is_closing()
