"""Meter an answer while it passes: what to relay of it, and what it consumed.

Sans-I/O. Every event is looked at only as far as metering needs: three searches for a key decide
whether it is worth parsing at all. Texts are parsed and counted only if the upstream fails to
report usage, or when more of them has piled up than is worth keeping.

    meter = StreamMeter(encoding=…, wants_usage=…)
    async for chunk in upstream:   send(meter.feed(chunk)); if meter.has_ended: break
    send(meter.flush())            # the upstream closed
    usage = meter.usage(prompt_tokens=…, max_completion_tokens=…)
    send(meter.closing(usage))     # only if meter.is_complete, else an error event

The end marker is held back until `closing`, so that the charge is known, and can be settled,
before the client believes itself served.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.exceptions import EventTooLarge, ImpossibleUsage, MalformedAnswer
from proxy.metering.delivered import Delivered
from proxy.metering.encodings import Encoding
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, DONE, Event, Splitter
from proxy.metering.usage import Source, Usage, check_usage

__all__ = [
    "ImpossibleUsage",
    "JsonAnswer",
    "Source",
    "StreamMeter",
    "Usage",
    "check_usage",
    "meter_json",
]

# Some 400 chunks of the usual size; then their texts are counted and the bytes let go.
UNREAD_BYTES = 128 * 1024

_NO_USAGE = b'"usage":null'
# A quotation mark inside a string is escaped, so these bytes can't be anything but a key.
_NO_USAGE_PAIR = b',"usage":null'


class StreamMeter:
    """Meters one stream of chat completion chunks."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        wants_usage: bool,
        n: int = 1,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self._splitter = Splitter(max_event_bytes=max_event_bytes)
        self._wants_usage = wants_usage
        self._n = n
        self._delivered = Delivered(encoding)
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._finished: set[object] = set()
        self._identity: dict[str, Any] = {}
        self._usage_event: bytes | None = None
        # What the upstream reported last, unchecked; None if nothing, or an empty object.
        self.reported: object = None
        # The upstream's own error event: for staff only, it may name the upstream.
        self.error: object = None
        # The end marker has come.
        self.is_done = False
        # Events given to the client; before the first, another upstream may still be tried.
        self.events_relayed = 0

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is to be expected of the upstream."""
        return self.is_done or self.error is not None

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end. Some upstreams send no end marker."""
        if self.error is not None:
            return False
        return self.is_done or self._usage_event is not None or self._has_finished()

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the upstream, give those for the client.

        An event without end is an error like one that the upstream tells of.
        """
        try:
            events = self._splitter.feed(chunk)
        except EventTooLarge as error:
            relayed = b"".join([self.take(event) for event in error.events])
            if not self.has_ended:
                self.error = str(error)
            return relayed
        if len(events) == 1:
            return self.take(events[0])
        return b"".join([self.take(event) for event in events])

    def flush(self) -> bytes:
        """Take note that the upstream closed. An event cut short is not relayed."""
        return b"".join(self._take_last(event) for event in self._splitter.flush())

    def take(self, event: Event) -> bytes:
        """Take one event, give what the client gets of it."""
        raw = event.raw
        if self.has_ended:
            return b""
        if not raw.startswith(b"data: {"):
            if event.is_done:
                self.is_done = True
                return b""
            # Comments keep the connection alive, which is our own task, and may name the upstream.
            if event.data is None:
                return b""
            if event.name == b"error":
                self.error = _parse(event.data) or "an error event"
                return b""
        nulls = raw.count(_NO_USAGE)
        # Nearly always the key is there and null, since every stream is asked to report usage.
        if (raw.count(b'"usage"') != nulls or b'"error"' in raw) and self._read_closely(event):
            return b""
        return self._relay(raw.replace(_NO_USAGE_PAIR, b"") if self._strips(nulls) else raw)

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Say what to charge for: the upstream's figures, or else what was delivered.

        `prompt_tokens` is our own count, for when there is no other. May tokenize some 100 KB.
        Raises ImpossibleUsage; then `estimate` tells what was delivered.
        """
        if self.reported is None:
            return self.estimate(prompt_tokens=prompt_tokens)
        usage = check_usage(self.reported, max_completion_tokens=max_completion_tokens)
        if self.is_complete:
            return usage
        # Figures from the middle of a stream that broke: more was delivered since, perhaps.
        estimate = self.estimate(prompt_tokens=usage.prompt_tokens)
        return usage if usage.completion_tokens >= estimate.completion_tokens else estimate

    def estimate(self, *, prompt_tokens: int) -> Usage:
        """Count what was delivered so far. May be called while the stream goes on."""
        self._read_texts()
        return _estimated(self._delivered, prompt_tokens)

    def closing(self, usage: Usage) -> bytes:
        """Give the end of a complete stream: the one usage chunk, if asked for, and the marker."""
        if not self._wants_usage:
            return DONE
        if self._usage_event is not None and usage.source is Source.REPORTED:
            return self._usage_event + DONE
        self._read_texts()
        figures = self.reported if usage.source is Source.REPORTED else usage.as_openai()
        chunk = self._identity | {"choices": [], "usage": figures}
        return b"data: " + orjson.dumps(chunk) + b"\n\n" + DONE

    def _strips(self, nulls: int) -> bool:
        # Without being asked the official API does not mention usage.
        return nulls > 0 and not self._wants_usage

    def _relay(self, raw: bytes) -> bytes:
        self.events_relayed += 1
        self._unread.append(raw)
        self._unread_bytes += len(raw)
        if self._unread_bytes > UNREAD_BYTES:
            self._read_texts()
        return raw

    def _read_closely(self, event: Event) -> bool:
        """Look for usage and errors. True if the event is not for the client."""
        chunk = _parse(event.data)
        if chunk.get("error"):
            self.error = chunk["error"]
            return True
        usage = chunk.get("usage")
        if not usage:
            return False
        # Anything but an object is impossible, and stays to be refused as such.
        self.reported = usage
        if chunk.get("choices") != []:
            return False
        self._identify(chunk)
        self._usage_event = event.raw
        return True

    def _take_last(self, event: Event) -> bytes:
        # What lacks no more than its blank line is whole.
        if event.is_done or _parse(event.data):
            return self.take(Event(event.raw.rstrip(b"\r\n") + b"\n\n"))
        return b""

    def _has_finished(self) -> bool:
        self._read_texts()
        return len(self._finished) >= self._n

    def _read_texts(self) -> None:
        unread, self._unread, self._unread_bytes = self._unread, [], 0
        for raw in unread:
            chunk = _parse(Event(raw).data)
            self._identify(chunk)
            self._delivered.add(chunk)
            choices = chunk.get("choices")
            for choice in choices if isinstance(choices, list) else []:
                if isinstance(choice, dict) and choice.get("finish_reason"):
                    self._finished.add(repr(choice.get("index")))

    def _identify(self, chunk: dict[str, Any]) -> None:
        """Remember what a chunk of our own must repeat."""
        if not self._identity and chunk:
            known = ("id", "object", "created", "model", "service_tier", "system_fingerprint")
            self._identity = {name: chunk[name] for name in known if name in chunk}


class JsonAnswer:
    """One whole answer, metered."""

    def __init__(self, answer: dict[str, Any], *, encoding: Encoding) -> None:
        self._answer = answer
        self._encoding = encoding
        # What the upstream reported, unchecked; None if nothing, or an empty object.
        self.reported: object = answer.get("usage") or None

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Say what to charge for, as `StreamMeter.usage` does."""
        if self.reported is None:
            return self.estimate(prompt_tokens=prompt_tokens)
        return check_usage(self.reported, max_completion_tokens=max_completion_tokens)

    def estimate(self, *, prompt_tokens: int) -> Usage:
        """Count the answer's texts."""
        delivered = Delivered(self._encoding)
        delivered.add(self._answer)
        return _estimated(delivered, prompt_tokens)


def meter_json(body: bytes, *, encoding: Encoding) -> JsonAnswer:
    """Meter an answer that is not a stream. Raises MalformedAnswer if it is no completion."""
    answer = _parse(body)
    if not isinstance(answer.get("choices"), list):
        raise MalformedAnswer("the answer is not a completion")
    return JsonAnswer(answer, encoding=encoding)


def _estimated(delivered: Delivered, prompt_tokens: int) -> Usage:
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=delivered.completion_tokens(),
        reasoning_tokens=delivered.reasoning_tokens(),
        source=Source.ESTIMATED,
    )


def _parse(data: bytes | None) -> dict[str, Any]:
    """Parse a chunk; what is not a JSON object has nothing to meter."""
    try:
        chunk = orjson.loads(data or b"")
    except orjson.JSONDecodeError:
        return {}
    return chunk if isinstance(chunk, dict) else {}
