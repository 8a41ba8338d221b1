"""Meter a stream while it is relayed: which bytes to relay, and the usage.

Sans-I/O. Every event is read only as far as metering needs. Texts are parsed and counted only if
the upstream reports no usage, or when more than UNREAD_BYTES of them have piled up.

    meter = ChunkMeter(…)          # or another kind of stream's
    async for chunk in upstream:   send(meter.feed(chunk)); if meter.has_ended: break
    send(meter.flush())            # the upstream closed
    usage = meter.usage(prompt_tokens=…, max_completion_tokens=…)
    send(meter.closing(usage))     # only if meter.is_complete, else meter.failing(error)

The events that tell the client of success are kept back until `closing`, so that the call can be
settled before the client sees them. When `is_behind`, call `catch_up` before the next `feed`; it
may take a while, so call it in a thread.
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

# About 400 chunks of the usual size; then their texts are counted and the bytes dropped.
UNREAD_BYTES = 128 * 1024


class StreamMeter(ABC):
    """Meters one stream. Each subclass knows the events of one kind of stream."""

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
        # The size of relayed events whose texts are not counted yet.
        self.unread_bytes = 0
        # What the upstream reported last, unchecked; None if nothing, or an empty object.
        self.reported: object = None
        # The upstream's own error event: for staff only, because it may name the upstream.
        self.error: object = None
        # Events given to the client so far.
        self.events_relayed = 0

    @property
    @abstractmethod
    def has_ended(self) -> bool:
        """Whether the upstream has nothing more to send."""

    @property
    @abstractmethod
    def is_complete(self) -> bool:
        """Whether the answer came to its end."""

    @abstractmethod
    def take(self, event: Event) -> bytes:
        """Take one event and return what the client gets of it."""

    @abstractmethod
    def closing(self, usage: Usage) -> bytes:
        """Return the end of a complete stream."""

    @abstractmethod
    def failing(self, error: ApiError) -> bytes:
        """Return the end of a broken stream, which SDKs recognise as such."""

    @abstractmethod
    def _read(self, event: dict[str, Any]) -> None:
        """Collect the texts of an event that was relayed."""

    @property
    def is_behind(self) -> bool:
        """Whether more than UNREAD_BYTES are unread, so that `catch_up` should be called."""
        return self.unread_bytes > UNREAD_BYTES

    @property
    def has_text(self) -> bool:
        """Whether any text of the answer was relayed, which is then charged."""
        return self.estimate(prompt_tokens=0).completion_tokens > 0

    def feed(self, chunk: bytes) -> bytes:
        """Take bytes from the upstream and return those for the client.

        An event over the size limit sets `error`, like an upstream's own error event.
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
        """Return the last bytes for the client once the upstream has closed.

        An event that was cut short is not relayed.
        """
        return b"".join(self._take_last(event) for event in self._splitter.flush())

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Return the usage to charge for: the upstream's figures or our count of what came.

        Of a broken stream, the larger of both. `prompt_tokens` is our own count, used if the
        upstream has none. Counts unread texts. Raises ImpossibleUsage; then use `estimate`.
        """
        if self.reported is None:
            return self.estimate(prompt_tokens=prompt_tokens)
        usage = check_usage(self.reported, max_completion_tokens=max_completion_tokens)
        if self.is_complete:
            return usage
        # The stream broke after these figures were reported: more may have been delivered since.
        estimate = self.estimate(prompt_tokens=usage.prompt_tokens)
        return usage if usage.completion_tokens >= estimate.completion_tokens else estimate

    def estimate(self, *, prompt_tokens: int) -> Usage:
        """Count what was delivered so far. May be called while the stream goes on."""
        self.catch_up()
        return estimate_usage(self._delivered, prompt_tokens)

    def catch_up(self) -> None:
        """Count the unread texts, and drop their bytes."""
        unread, self._unread, self.unread_bytes = self._unread, [], 0
        for raw in unread:
            self._read(parse_object(Event(raw).data))

    def _relay(self, raw: bytes) -> bytes:
        self.events_relayed += 1
        self._unread.append(raw)
        self.unread_bytes += len(raw)
        return raw

    def _take_last(self, event: Event) -> bytes:
        # An event that lacks only its blank line is whole.
        if event.is_done or parse_object(event.data):
            return self.take(Event(event.raw.rstrip(b"\r\n") + b"\n\n"))
        return b""
