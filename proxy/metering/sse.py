"""Split a server-sent event stream into its events, at any chunk boundaries.

Sans-I/O: bytes in, events out. The concatenation of all `raw` is the input. Lines end at CR LF, LF
or CR and nowhere else: splitting decoded text at U+2028, as `str.splitlines` does, breaks an answer
that contains it.
"""

from __future__ import annotations

import re

import orjson

from proxy.errors import ApiError, EventTooLarge

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

    def read(self) -> tuple[bytes | None, bytes | None]:
        """Return the event's type and its payload: its data lines, joined. Either may be None."""
        raw = self.raw
        # Nearly every event is one line of data, or one line with its type before it.
        if b"\r" not in raw:
            end = raw.find(b"\n")
            if raw.startswith(b"data: ") and end == len(raw) - 2:
                return None, raw[6:-2]
            is_named = raw.startswith(b"event: ") and raw.startswith(b"data: ", end + 1)
            if is_named and raw.find(b"\n", end + 1) == len(raw) - 2:
                return raw[7:end], raw[end + 7 : -2]
        return self._field(b"event", joined_by=None), self._field(b"data", joined_by=b"\n")

    @property
    def data(self) -> bytes | None:
        """The payload. None for comments and blank lines."""
        return self.read()[1]

    @property
    def is_done(self) -> bool:
        """Whether it is the end marker. Both official SDKs look only at its beginning."""
        data = self.data
        return data is not None and is_end_marker(data)

    def _field(self, name: bytes, *, joined_by: bytes | None) -> bytes | None:
        values = [
            # One space after the colon is part of the syntax.
            line[len(name) + 1 :].removeprefix(b" ")
            for line in _LINE_END.split(self.raw.removeprefix(_BOM))
            if line == name or line.startswith(name + b":")
        ]
        if not values:
            return None
        return values[-1] if joined_by is None else joined_by.join(values)


class Splitter:
    """Collects bytes until events are whole. Chunk boundaries make no difference."""

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._pending = bytearray()
        # Set for good by the first CR: nearly all streams have none, and are split much faster.
        self._has_cr = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take bytes and return the events that they complete. Raises EventTooLarge."""
        if self._has_cr or b"\r" in chunk:
            self._has_cr = True
            return self._feed_any(chunk)
        # Nearly always a chunk is one event.
        if not self._pending and chunk.find(b"\n\n") == len(chunk) - 2 > 0:
            self._check_size(len(chunk), [])
            return [Event(chunk)]
        events: list[Event] = []
        if self._pending:
            length = self._completed_by(chunk)
            if length == 0:
                self._pending += chunk
                self._check_size(len(self._pending), events)
                return events
            first = bytes(self._pending) + chunk[:length]
            self._check_size(len(first), events)
            events.append(Event(first))
            self._pending.clear()
            chunk = chunk[length:]
        *whole, rest = chunk.split(b"\n\n")
        for piece in whole:
            self._check_size(len(piece) + 2, events)
            events.append(Event(piece + b"\n\n"))
        self._check_size(len(rest), events)
        self._pending += rest
        return events

    def flush(self) -> list[Event]:
        """Return what is left when the stream ends: at most one event, perhaps unfinished."""
        rest = bytes(self._pending)
        self._pending.clear()
        return [Event(rest)] if rest else []

    def _completed_by(self, chunk: bytes) -> int:
        """Return how many bytes of the chunk complete the pending event; 0 if it goes on."""
        if self._pending.endswith(b"\n") and chunk.startswith(b"\n"):
            return 1
        return chunk.find(b"\n\n") + 2 if b"\n\n" in chunk else 0

    def _feed_any(self, chunk: bytes) -> list[Event]:
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
            self._check_size(end - start, events)
            events.append(Event(bytes(pending[start:end])))
            start = position = end
        del pending[:start]
        self._check_size(len(pending), events)
        return events

    def _check_size(self, size_bytes: int, before: list[Event]) -> None:
        if size_bytes > self._max_event_bytes:
            raise EventTooLarge(self._max_event_bytes, [event.raw for event in before])


def is_end_marker(data: bytes) -> bool:
    """Tell whether a payload ends a stream. Both official SDKs look only at its beginning."""
    return data.startswith(b"[DONE]")


def error_event(error: ApiError) -> bytes:
    """Return the event that ends a broken stream; official SDKs raise on it."""
    return b"data: " + orjson.dumps(error.envelope()) + b"\n\n"
