"""Meter the stream of a response: typed events, the last of which says how it ended.

`response.completed` and `response.incomplete` hold the whole response with its usage, and are kept
back until the call is settled. `response.failed` goes out as the end of a broken stream, without
the upstream's reason. There is no end marker.
"""

from __future__ import annotations

import time
from typing import Any

from proxy.errors import AnswerBroken, ApiError, MalformedAnswer, UpstreamError
from proxy.metering.answers import (
    check_response,
    clean_response,
    hide_failure,
    write_response_usage,
)
from proxy.metering.conversions import to_events, write_event
from proxy.metering.delivered import add_event, add_output
from proxy.metering.encodings import Encoding
from proxy.metering.failures import find_failure, to_failure
from proxy.metering.reading import read_object
from proxy.metering.shapes import PASSED, Label, without_telling
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, Event
from proxy.metering.streams import StreamMeter
from proxy.metering.usage import Usage

_COMPLETE = frozenset({"response.completed", "response.incomplete"})
_FAILED = frozenset({"response.failed", "response.cancelled"})
# Events that hold the response so far.
_SNAPSHOTS = frozenset({"response.created", "response.in_progress", "response.queued"})
# The kinds of events that pass, below `response.`: those of the specification, and vLLM's parts.
_STEPS = ("added", "delta", "done")
_PASSED = frozenset(
    f"response.{kind}.{step}"
    for kind in [
        "audio",
        "audio.transcript",
        "code_interpreter_call_code",
        "content_part",
        "custom_tool_call_input",
        "function_call_arguments",
        "mcp_call_arguments",
        "output_item",
        "output_text",
        "output_text.annotation",
        "reasoning_part",
        "reasoning_summary_part",
        "reasoning_summary_text",
        "reasoning_text",
        "refusal",
        "shell_call_command",
        "shell_call_output_content",
    ]
    for step in _STEPS
) | frozenset(
    f"response.{kind}.{step}"
    for kind in [
        "code_interpreter_call",
        "file_search_call",
        "image_generation_call",
        "mcp_call",
        "mcp_list_tools",
        "web_search_call",
    ]
    for step in ["completed", "failed", "generating", "in_progress", "interpreting", "searching"]
)
# Fields of an event that hold objects, which are looked into.
_NESTED = ("item", "part", "annotation")
_PLAIN = (PASSED["event"] | {"type", "sequence_number"}) - {*_NESTED}


class ResponseMeter(StreamMeter):
    """Meters one stream of a response's events."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        label: Label,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(encoding=encoding, label=label, max_event_bytes=max_event_bytes)
        # The last event's kind and its response, as the upstream sent it.
        self._end_kind = ""
        self._end: dict[str, Any] | None = None
        self._began_at = int(time.time())

    @property
    def has_ended(self) -> bool:
        """Whether the upstream has nothing more to send."""
        return self._end is not None or self.error is not None

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end, which may be its maximum length."""
        return self._end_kind in _COMPLETE and self.error is None

    @property
    def failure(self) -> UpstreamError:
        """What went wrong with a stream that is not complete."""
        return self.error or AnswerBroken("the stream broke off")

    def take(self, event: Event) -> bytes:
        """Take one event and return what the client gets of it."""
        if self.has_ended:
            return b""
        name, data = event.read()
        payload = read_object(data if data is not None else event.raw.strip())
        kind = payload.get("type")
        if not isinstance(kind, str):
            # SDKs look for the kind in the payload; some upstreams write it beside it alone.
            kind = name.decode(errors="replace") if name else ""
        if kind == "error" or "error" in payload:
            self.error = find_failure(payload | {"type": kind})
            if self.error is not None:
                return b""
        if kind in _COMPLETE or kind in _FAILED:
            self._take_end(payload, kind)
            return b""
        if kind in _SNAPSHOTS:
            return self._take_snapshot(payload, kind)
        # Anything else is a comment, a ping or the end marker of other kinds of streams.
        return self._pass_on(payload, kind) if kind in _PASSED else b""

    def take_whole(self, body: bytes) -> bytes:
        """Take an answer in one piece, sent in place of a stream. Raises UpstreamError."""
        response = read_object(body)
        if failure := find_failure(response):
            raise failure
        check_response(response)
        events = [Event(write_event(event)) for event in to_events(response)]
        return b"".join([self.take(event) for event in events])

    def closing(self, usage: Usage) -> bytes:
        """Return the last event, with the usage that is charged."""
        if self._end is None:
            raise ValueError("a stream without its last event is not complete")
        return self._write_end(self._end_kind, self._clean(self._end), usage)

    def failing(self, error: ApiError) -> bytes:
        """Return the upstream's last event without its reason, or else an error event."""
        if self._end is None:
            return _error_event(error, self.events_relayed)
        response = hide_failure(self._clean(self._end))
        return self._write_end("response.failed", response, None)

    def estimate(self, *, prompt_tokens: int, max_completion_tokens: int | None = None) -> Usage:
        """Count what was delivered so far, or the last event's output if nothing came before it."""
        most = max_completion_tokens
        usage = super().estimate(prompt_tokens=prompt_tokens, max_completion_tokens=most)
        if usage.completion_tokens or not self.is_complete or self._end is None:
            return usage
        add_output(self._delivered, self._end)
        return super().estimate(prompt_tokens=prompt_tokens, max_completion_tokens=most)

    def _take_end(self, payload: dict[str, Any], kind: str) -> None:
        response = payload.get("response")
        if not isinstance(response, dict):
            self.error = MalformedAnswer("the last event holds no response")
            return
        self._end, self._end_kind = response, kind
        self._note_usage(response.get("usage"))
        if kind in _FAILED or response.get("error") or response.get("status") == "failed":
            self.error = to_failure(response.get("error"))

    def _take_snapshot(self, payload: dict[str, Any], kind: str) -> bytes:
        response = payload.get("response")
        if not isinstance(response, dict):
            self.error = MalformedAnswer("an event holds no response")
            return b""
        if response.get("error"):
            self.error = to_failure(response["error"])
            return b""
        shown = self._clean(response, status="in_progress")
        event = {"type": kind, "sequence_number": self.events_relayed, "response": shown}
        return self._relay(write_event(event))

    def _pass_on(self, payload: dict[str, Any], kind: str) -> bytes:
        if not payload.keys() <= _PLAIN:
            payload = {"type": kind, "sequence_number": 0} | self._label.pick("event", payload)
            for name in _NESTED:
                if name in payload:
                    payload[name] = without_telling(payload[name])
        # Numbered anew, since not every event of an upstream passes.
        payload["type"], payload["sequence_number"] = kind, self.events_relayed
        add_event(self._delivered, payload)
        return self._relay(write_event(payload))

    def _clean(self, response: dict[str, Any], status: str = "completed") -> dict[str, Any]:
        return clean_response(response, self._label, now=self._began_at, status=status)

    def _write_end(self, kind: str, response: dict[str, Any], usage: Usage | None) -> bytes:
        if usage is not None:
            response |= {"usage": write_response_usage(usage)}
        number = {"type": kind, "sequence_number": self.events_relayed}
        return write_event(number | {"response": response})


def _error_event(error: ApiError, sequence_number: int) -> bytes:
    """Return the error event of the specification, with the object that SDKs look for.

    The specification has the fields at the top; the API, and the SDKs that raise on it, have them
    in an object `error`.
    """
    fields: dict[str, Any] = error.envelope()["error"]
    return write_event(
        {
            "type": "error",
            "code": fields["code"],
            "message": fields["message"],
            "param": fields["param"],
            "sequence_number": sequence_number,
            "error": fields,
        }
    )
