"""Rebuild and meter a stream while it is relayed: what the client gets of it, and the usage.

Sans-I/O. Bytes become events, events become payloads of a known shape, and these are written anew:
`shapes.py` has what passes. What has no such shape, pings and comments included, is dropped. Texts
are counted only if the upstream reports no usage, or when more than UNREAD_BYTES have piled up.

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

from proxy.errors import AnswerBroken, ApiError, EventTooLarge, UpstreamError
from proxy.metering.delivered import Delivered, estimate_usage
from proxy.metering.encodings import Encoding
from proxy.metering.shapes import Label
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, Event, Splitter
from proxy.metering.usage import Usage, check_usage, has_figures, is_lesser

# About 400 chunks of the usual size; then their texts are counted and dropped.
UNREAD_BYTES = 128 * 1024


class StreamMeter(ABC):
    """Meters one stream. Each subclass knows the events of one kind of stream."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        label: Label,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        self._splitter = Splitter(max_event_bytes=max_event_bytes)
        self._label = label
        self._delivered = Delivered(encoding)
        # The size of relayed events whose texts are not counted yet.
        self.unread_bytes = 0
        # The best that the upstream reported, unchecked; None if nothing.
        self.reported: object = None
        # Whether output came after the reported figures.
        self.is_provisional = False
        # The upstream's own failure: for staff only, because it may name the upstream.
        self.error: UpstreamError | None = None
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

    @property
    @abstractmethod
    def failure(self) -> UpstreamError:
        """What went wrong with a stream that is not complete."""

    @abstractmethod
    def take(self, event: Event) -> bytes:
        """Take one event and return what the client gets of it."""

    @abstractmethod
    def take_whole(self, body: bytes) -> bytes:
        """Take an answer in one piece, sent in place of a stream. Raises UpstreamError."""

    @abstractmethod
    def closing(self, usage: Usage) -> bytes:
        """Return the end of a complete stream."""

    @abstractmethod
    def failing(self, error: ApiError) -> bytes:
        """Return the end of a broken stream, which SDKs recognise as such."""

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
                self.error = AnswerBroken(str(error))
            return relayed
        if len(events) == 1:
            return self.take(events[0])
        return b"".join([self.take(event) for event in events])

    def flush(self) -> bytes:
        """Return the last bytes for the client once the upstream has closed.

        An event that lacks only its blank line is whole; one that was cut short has no shape.
        """
        rest = self._splitter.flush()
        return b"".join(self.take(Event(event.raw.rstrip(b"\r\n") + b"\n\n")) for event in rest)

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Return the usage to charge for: the upstream's figures or our count of what came.

        The larger of both if output followed the figures or the stream broke. `prompt_tokens` is
        our own count, used if the upstream has none. Counts unread texts. Raises ImpossibleUsage;
        then use `estimate`.
        """
        if self.reported is None:
            return self.estimate(
                prompt_tokens=prompt_tokens, max_completion_tokens=max_completion_tokens
            )
        usage = check_usage(self.reported, max_completion_tokens=max_completion_tokens)
        if self.is_complete and not self.is_provisional:
            return usage
        estimate = self.estimate(
            prompt_tokens=usage.prompt_tokens, max_completion_tokens=max_completion_tokens
        )
        return usage if usage.completion_tokens >= estimate.completion_tokens else estimate

    def estimate(self, *, prompt_tokens: int, max_completion_tokens: int | None = None) -> Usage:
        """Count what was delivered so far. May be called while the stream goes on."""
        self.catch_up()
        return estimate_usage(
            self._delivered, prompt_tokens, max_completion_tokens=max_completion_tokens
        )

    def catch_up(self) -> None:
        """Count the unread texts, and drop them."""
        self.unread_bytes = 0
        self._delivered.count()

    def _note_usage(self, raw: Any) -> None:
        """Keep reported figures, unless they say less than earlier ones."""
        if not has_figures(raw):
            return
        if self.reported is None or not is_lesser(raw, self.reported):
            self.reported, self.is_provisional = raw, False

    def _relay(self, raw: bytes) -> bytes:
        self.events_relayed += 1
        self.unread_bytes += len(raw)
        return raw
