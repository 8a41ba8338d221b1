"""Meter a stream of completion chunks, of chats and of the older completions.

Most chunks are not parsed: a few searches for keys tell which ones have to be.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.errors import ApiError
from proxy.metering.delivered import add_choices, estimate_usage, parse_object
from proxy.metering.encodings import Encoding
from proxy.metering.naming import is_telling, without_telling
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, DONE, Event, error_event
from proxy.metering.streams import StreamMeter
from proxy.metering.usage import Source, Usage

_NO_USAGE = b'"usage":null'
# A quotation mark inside a string is escaped, so these bytes can't be anything but a key.
_NO_USAGE_PAIR = b',"usage":null'


class ChunkMeter(StreamMeter):
    """Meters one stream of completion chunks. `n` is how many answers are in it."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        model: str,
        wants_usage: bool,
        n: int = 1,
        echoes: int = 0,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(encoding=encoding, model=model, max_event_bytes=max_event_bytes)
        self._wants_usage = wants_usage
        self._n = n
        # How often the whole prompt is repeated in the answers.
        self._echoes = echoes
        self._finished: set[object] = set()
        self._identity: dict[str, Any] = {}
        self._usage_event: bytes | None = None
        # The end marker has come.
        self.is_done = False

    @property
    def has_ended(self) -> bool:
        """Whether the upstream has nothing more to send."""
        return self.is_done or self.error is not None

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end. Some upstreams send no end marker."""
        if self.error is not None:
            return False
        return self.is_done or self._usage_event is not None or self._has_finished()

    def take(self, event: Event) -> bytes:
        """Take one event and return what the client gets of it."""
        raw = event.raw
        if self.has_ended:
            return b""
        if not raw.startswith(b"data: {"):
            if event.is_done:
                self.is_done = True
                return b""
            # An upstream's comments may name it; we keep the connection alive ourselves.
            if event.data is None:
                return b""
            if event.name == b"error":
                self.error = parse_object(event.data) or "an error event"
                return b""
        if is_telling(raw) and (chunk := parse_object(event.data)):
            raw = b"data: " + orjson.dumps(without_telling(chunk)) + b"\n\n"
            event = Event(raw)
        nulls = raw.count(_NO_USAGE)
        # Nearly always the key is there and null, since every stream is asked to report usage.
        if raw.count(b'"usage"') != nulls or b'"error"' in raw:
            raw = self._read_closely(event)
            if not raw:
                return b""
        raw = self._name.write_chunk(raw)
        return self._relay(raw.replace(_NO_USAGE_PAIR, b"") if self._strips(nulls) else raw)

    def estimate(self, *, prompt_tokens: int) -> Usage:
        """Count what was delivered so far, without repetitions of the prompt."""
        self.catch_up()
        return estimate_usage(self._delivered, prompt_tokens, echoes=self._echoes)

    def closing(self, usage: Usage) -> bytes:
        """Return the end of a complete stream: a usage chunk, if asked for, and the end marker."""
        if not self._wants_usage:
            return DONE
        if self._usage_event is not None and usage.source is Source.REPORTED:
            return self._usage_event + DONE
        self.catch_up()
        figures = self.reported if usage.source is Source.REPORTED else usage.as_openai()
        chunk = self._identity | {"choices": [], "usage": figures}
        return b"data: " + orjson.dumps(chunk) + b"\n\n" + DONE

    def failing(self, error: ApiError) -> bytes:
        """Return an error event without an end marker. SDKs take a mere cut for success."""
        return error_event(error)

    def _strips(self, nulls: int) -> bool:
        # The official API does not mention usage unless it is asked to.
        return nulls > 0 and not self._wants_usage

    def _read_closely(self, event: Event) -> bytes:
        """Look for usage and errors. Return the part of the event that is for the client."""
        chunk = parse_object(event.data)
        if chunk.get("error"):
            self.error = chunk["error"]
            return b""
        usage = chunk.get("usage")
        if not usage:
            return event.raw
        # Anything but an object is kept, too: `usage` refuses it as impossible.
        self.reported = usage
        if chunk.get("choices") != []:
            # Some upstreams report usage in the chunk with the last text. Clients add up the usage
            # of all chunks, so they get it once, at the end.
            shown = {name: value for name, value in chunk.items() if name != "usage"}
            if self._wants_usage:
                shown["usage"] = None
            return b"data: " + orjson.dumps(shown) + b"\n\n"
        self._identify(chunk)
        self._usage_event = self._name.write_chunk(event.raw)
        return b""

    def _has_finished(self) -> bool:
        self.catch_up()
        return len(self._finished) >= self._n

    def _read(self, event: dict[str, Any]) -> None:
        self._identify(event)
        add_choices(self._delivered, event)
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and choice.get("finish_reason"):
                self._finished.add(repr(choice.get("index")))

    def _identify(self, chunk: dict[str, Any]) -> None:
        """Remember the fields that a chunk of our own must repeat."""
        if not self._identity and chunk:
            known = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
            self._identity = {name: chunk[name] for name in known if name in chunk}
            if "model" in chunk:
                self._identity["model"] = self._name.model
