"""Meter a stream while it passes: what to relay of it, and what it consumed.

Sans-I/O. Every event is looked at only as far as metering needs. Texts are parsed and counted only
if the upstream fails to report usage, or when more of them has piled up than is worth keeping.

    meter = ChunkMeter(…)          # or another kind of stream's
    async for chunk in upstream:   send(meter.feed(chunk)); if meter.has_ended: break
    send(meter.flush())            # the upstream closed
    usage = meter.usage(prompt_tokens=…, max_completion_tokens=…)
    send(meter.closing(usage))     # only if meter.is_complete, else meter.failing(error)

What tells the client that all went well is held back until `closing`, so that the charge is known,
and can be settled, before the client believes itself served. When `is_behind`, `catch_up` may take
a while: call it in a thread, before the next `feed`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from proxy.errors import ApiError, EventTooLarge
from proxy.metering.delivered import Delivered, estimate_usage, parse_object
from proxy.metering.encodings import Encoding
from proxy.metering.naming import PublicName
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, Event, Splitter
from proxy.metering.usage import Usage, check_usage

# Some 400 chunks of the usual size; then their texts are counted and the bytes let go.
UNREAD_BYTES = 128 * 1024


class StreamMeter(ABC):
    """Meters one stream. What its events look like, the kinds of it know."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        model: str,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self._splitter = Splitter(max_event_bytes=max_event_bytes)
        self._name = PublicName(model)
        self._delivered = Delivered(encoding)
        self._unread: list[bytes] = []
        # Of events that were relayed and whose texts are not yet counted.
        self.unread_bytes = 0
        # What the upstream reported last, unchecked; None if nothing, or an empty object.
        self.reported: object = None
        # The upstream's own error event: for staff only, it may name the upstream.
        self.error: object = None
        # Events given to the client; before the first, another upstream may still be tried.
        self.events_relayed = 0

    @property
    @abstractmethod
    def has_ended(self) -> bool:
        """Whether nothing more is to be expected of the upstream."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the answer came to its end."""

    @abstractmethod
    def take(self, event: Event) -> bytes:
        """Take one event, give what the client gets of it."""

    @abstractmethod
    def closing(self, usage: Usage) -> bytes:
        """Give the end of a complete stream."""

    @abstractmethod
    def failing(self, error: ApiError) -> bytes:
        """Give the end of a broken stream, in which SDKs see that it is one."""

    @abstractmethod
    def _read(self, event: dict[str, Any]) -> None:
        """Take note of the texts in an event that was relayed."""

    @property
    def is_behind(self) -> bool:
        """Whether so much is unread that it should be counted and let go."""
        return self.unread_bytes > UNREAD_BYTES

    @property
    def has_text(self) -> bool:
        """Whether anything of the answer itself was relayed, which then is to be paid for."""
        return self.estimate(prompt_tokens=0).completion_tokens > 0

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the upstream, give those for the client.

        An event without end is an error like one that the upstream tells of.
        """
        try:
            events = self._splitter.feed(chunk)
        except EventTooLarge as error:
            relayed = b"".join([self.take(Event(raw)) for raw in error.events])
            if not self.has_ended:
                self.error = str(error)
            return relayed
        if len(events) == 1:
            return self.take(events[0])
        return b"".join([self.take(event) for event in events])

    def flush(self) -> bytes:
        """Take note that the upstream closed. An event cut short is not relayed."""
        return b"".join(self._take_last(event) for event in self._splitter.flush())

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Say what to charge for: the upstream's figures, or else what was delivered.

        `prompt_tokens` is our own count, for when there is no other. Counts what is unread.
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
        self.catch_up()
        return estimate_usage(self._delivered, prompt_tokens)

    def catch_up(self) -> None:
        """Count the texts that are unread, and let their bytes go."""
        unread, self._unread, self.unread_bytes = self._unread, [], 0
        for raw in unread:
            self._read(parse_object(Event(raw).data))

    def _relay(self, raw: bytes) -> bytes:
        self.events_relayed += 1
        self._unread.append(raw)
        self.unread_bytes += len(raw)
        return raw

    def _take_last(self, event: Event) -> bytes:
        # What lacks no more than its blank line is whole.
        if event.is_done or parse_object(event.data):
            return self.take(Event(event.raw.rstrip(b"\r\n") + b"\n\n"))
        return b""
