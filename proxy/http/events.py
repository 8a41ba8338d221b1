"""A stream of events on its way to a client."""

import asyncio
import time
from collections.abc import Mapping

from django.conf import settings

from proxy.errors import Interrupted, Reason
from proxy.http.connection import ClientConnection

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # Without it, an nginx in front of us collects the stream before it passes it on.
    "x-accel-buffering": "no",
}
COMMENT = b": keep-alive\n\n"


class EventStream:
    """Writes events. The headers go out with the first event or comment."""

    def __init__(self, connection: ClientConnection, headers: Mapping[str, str]) -> None:
        self.connection = connection
        self.headers = {**HEADERS, **headers}
        self._opened_at = time.monotonic()
        self._comment: asyncio.Task[None] | None = None

    async def write(self, events: bytes) -> None:
        """Send events; waits while the client reads slowly."""
        await self._open()
        await self.connection.write(events)

    async def end(self, events: bytes) -> None:
        """Send the last events. Raises Interrupted if the client does not read them in time."""
        try:
            async with asyncio.timeout(settings.SLOW_READER_S):
                if events and not self.connection.has_left:
                    await self._open()
                await self.connection.finish(events)
        except TimeoutError as error:
            raise Interrupted(Reason.CLIENT_TOO_SLOW) from error

    async def _open(self) -> None:
        if not self.connection.has_started:
            await self.connection.start(200, self.headers.items())

    def is_stuck(self, now: float) -> bool:
        """Tell whether the client has been too slow to take what is being written."""
        return now - self.connection.writing_since > settings.SLOW_READER_S

    def keep_alive(self, now: float) -> None:
        """Send a comment after KEEP_ALIVE_S without a write. Called every second."""
        if now - max(self.connection.written_at, self._opened_at) >= settings.KEEP_ALIVE_S:
            # The event loop keeps no strong reference: without ours the task could be collected.
            self._comment = asyncio.create_task(self.write(COMMENT))
