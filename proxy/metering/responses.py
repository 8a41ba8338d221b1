"""Meter the stream of a response: typed events, the last of which says how it ended.

`response.completed` and `response.incomplete` hold the whole response with its usage, and are kept
back until the call is settled. `response.failed` goes out as the end of a broken stream, without
the upstream's reason. There is no end marker.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.errors import ApiError
from proxy.metering.answers import hide_failure
from proxy.metering.delivered import add_event, add_output, parse_object
from proxy.metering.encodings import Encoding
from proxy.metering.naming import is_telling, without_telling
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, Event
from proxy.metering.streams import StreamMeter
from proxy.metering.usage import Source, Usage, as_completion_usage

_COMPLETE = frozenset({b"response.completed", b"response.incomplete"})
_FAILED = frozenset({b"response.failed", b"response.cancelled"})
_ENDS = _COMPLETE | _FAILED
# Events that hold the response so far, and with it the model's name.
_SNAPSHOTS = frozenset({b"response.created", b"response.in_progress", b"response.queued"})


class ResponseMeter(StreamMeter):
    """Meters one stream of a response's events."""

    def __init__(
        self, *, encoding: Encoding, model: str, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES
    ) -> None:
        super().__init__(encoding=encoding, model=model, max_event_bytes=max_event_bytes)
        self._last: bytes = b""
        # The last event's payload, kind and data.
        self._end: dict[str, Any] | None = None
        self._end_kind = b""
        self._end_data = b""

    @property
    def has_ended(self) -> bool:
        """Whether the upstream has nothing more to send."""
        return self._end is not None or self.error is not None

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end, which may be its maximum length."""
        return self._end_kind in _COMPLETE

    @property
    def has_text(self) -> bool:
        """Whether text was relayed that is charged, or the upstream's last event reports usage."""
        return (self._end is not None and self.reported is not None) or super().has_text

    def take(self, event: Event) -> bytes:
        """Take one event and return what the client gets of it."""
        if self.has_ended:
            return b""
        kind = _kind_of(event)
        if kind in _ENDS:
            self._take_end(event, kind)
            return b""
        # A comment, or the end marker of other kinds of streams; neither belongs here.
        if not kind:
            return b""
        if kind == b"error":
            self.error = parse_object(event.data) or "an error event"
            return b""
        raw = event.raw
        if is_telling(raw) and (payload := parse_object(event.data)):
            raw = _write(kind, orjson.dumps(without_telling(payload)))
            event = Event(raw)
        if kind in _SNAPSHOTS:
            if not isinstance(parse_object(event.data).get("response"), dict):
                self.error = "an event holds no response"
                return b""
            raw = _write(kind, self._name.write_object(event.data or b"{}", "response"))
        self._last = raw
        return self._relay(raw)

    def closing(self, usage: Usage) -> bytes:
        """Return the last event, with our own figures unless the upstream's can be true."""
        if self._end is None:
            raise ValueError("a stream without its last event is not complete")
        data = self._end_data
        if usage.source is not Source.REPORTED:
            response = self._end["response"] | {"usage": usage.as_response_usage()}
            data = orjson.dumps(self._end | {"response": response})
        return _write(self._end_kind, self._name.write_object(data, "response"))

    def failing(self, error: ApiError) -> bytes:
        """Return the upstream's last event without its reason, or else an error event."""
        if self._end is not None:
            response = orjson.Fragment(hide_failure(self._end["response"]))
            data = orjson.dumps(self._end | {"response": response})
            return _write(self._end_kind, self._name.write_object(data, "response"))
        return _error_event(error, self._next_number())

    def estimate(self, *, prompt_tokens: int) -> Usage:
        """Count what was delivered so far, or the last event's output if nothing came before it."""
        usage = super().estimate(prompt_tokens=prompt_tokens)
        if usage.completion_tokens or not self.is_complete or self._end is None:
            return usage
        add_output(self._delivered, self._end["response"])
        return super().estimate(prompt_tokens=prompt_tokens)

    def _take_end(self, event: Event, kind: bytes) -> None:
        end, data = parse_object(event.data), event.data or b""
        if is_telling(data):
            end = without_telling(end)
            data = orjson.dumps(end)
        if not isinstance(end.get("response"), dict):
            self.error = "the last event holds no response"
            return
        self._end, self._end_kind, self._end_data = end, kind, data
        self.reported = as_completion_usage(end["response"].get("usage")) or None
        if kind in _FAILED:
            self.error = end["response"].get("error") or "the response failed"

    def _read(self, event: dict[str, Any]) -> None:
        add_event(self._delivered, event)

    def _next_number(self) -> int:
        number = parse_object(Event(self._last).data).get("sequence_number")
        return number + 1 if type(number) is int else self.events_relayed


def _kind_of(event: Event) -> bytes:
    """Return an event's kind; b"" if it is not an event of a response."""
    if event.raw.startswith(b"event: ") and b"\r" not in event.raw:
        return event.raw[7 : event.raw.find(b"\n")]
    # The name is repeated in the payload, and SDKs look there.
    kind = event.name or parse_object(event.data).get("type") or b""
    return kind.encode() if isinstance(kind, str) else kind


def _write(kind: bytes, data: bytes) -> bytes:
    return b"event: " + kind + b"\ndata: " + data + b"\n\n"


def _error_event(error: ApiError, sequence_number: int) -> bytes:
    """Return the error event of the specification, with the object that SDKs look for.

    The specification has the fields at the top; the API, and the SDKs that raise on it, have them
    in an object `error`.
    """
    fields: dict[str, Any] = error.envelope()["error"]
    event = {
        "type": "error",
        "code": fields["code"],
        "message": fields["message"],
        "param": fields["param"],
        "sequence_number": sequence_number,
        "error": fields,
    }
    return _write(b"error", orjson.dumps(event))
