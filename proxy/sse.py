"""Split a server-sent event stream into its events, whatever the network did to its bytes.

Sans-I/O: bytes in, events out. The concatenation of all `raw` is the input, so that an event can
be relayed as it came. Lines end at CR LF, LF or CR and nowhere else: splitting decoded text at
U+2028, as `str.splitlines` does, breaks an answer that contains it.
"""

from __future__ import annotations

import re

import orjson

from proxy.exceptions import ApiError, EventTooLarge

# A tool call or an image can make a big event; the largest seen in practice is a few MB of base64.
DEFAULT_MAX_EVENT_BYTES = 16 * 1024 * 1024

DONE = b"data: [DONE]\n\n"

_BOM = b"\xef\xbb\xbf"
# Two line ends in a row. Atomic, so that CR LF is never taken for two of them.
_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r){2}")
_LINE_END = re.compile(rb"\r\n|\n|\r")
# The longest blank line less one byte: how far back a search must resume.
_OVERLAP_BYTES = 3


class Event:
    """One event, exactly as it came, with the blank line that ends it."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def __repr__(self) -> str:
        return f"Event({self.raw!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Event) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    @property
    def data(self) -> bytes | None:
        """The payload: its data lines, joined. None for comments and blank lines."""
        raw = self.raw
        # Nearly every event is one line and a blank one.
        if raw.startswith(b"data: ") and raw.find(b"\n") == len(raw) - 2 and b"\r" not in raw:
            return raw[6:-2]
        lines = [
            # One space after the colon belongs to the syntax.
            line[5:].removeprefix(b" ")
            for line in _LINE_END.split(raw.removeprefix(_BOM))
            if line == b"data" or line.startswith(b"data:")
        ]
        return b"\n".join(lines) if lines else None

    @property
    def is_done(self) -> bool:
        """Whether it is the end marker. Both official SDKs look only at how it starts."""
        if self.raw.startswith(b"data: {"):
            return False
        data = self.data
        return data is not None and data.startswith(b"[DONE]")


class Splitter:
    """Collect bytes until events are whole. The same events at any chunk boundary."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[Event]:
        """Take bytes, give the events they complete. Raises EventTooLarge."""
        if self._pending or b"\r" in chunk or len(chunk) > self._max_event_bytes:
            return self._feed_slowly(chunk)
        *whole, rest = chunk.split(b"\n\n")
        if rest:
            self._pending += rest
        if len(whole) == 1 and not rest:
            return [Event(chunk)]
        return [Event(piece + b"\n\n") for piece in whole]

    def flush(self) -> list[Event]:
        """Give what is left when the stream ends: at most one event, perhaps unfinished."""
        rest = bytes(self._pending)
        self._pending.clear()
        return [Event(rest)] if rest else []

    def _feed_slowly(self, chunk: bytes) -> list[Event]:
        pending = self._pending
        position = max(0, len(pending) - _OVERLAP_BYTES)
        pending += chunk
        events: list[Event] = []
        start = 0
        while match := _BLANK_LINE.search(pending, position):
            end = match.end()
            # A CR may be the first half of a CR LF whose LF is still on its way.
            if end == len(pending) and pending[-1:] == b"\r":
                break
            if end - start > self._max_event_bytes:
                raise EventTooLarge(self._max_event_bytes, events)
            events.append(Event(bytes(pending[start:end])))
            start = position = end
        del pending[:start]
        if len(pending) > self._max_event_bytes:
            raise EventTooLarge(self._max_event_bytes, events)
        return events


def error_event(error: ApiError) -> bytes:
    """Write the event that ends a broken stream; official SDKs raise on it."""
    return b"data: " + orjson.dumps(error.envelope()) + b"\n\n"
