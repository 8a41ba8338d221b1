"""Meter a stream of completion chunks, of chats and of the older completions."""

from __future__ import annotations

import time
from typing import Any

import orjson

from proxy.errors import AnswerBroken, ApiError, MalformedAnswer, UpstreamError, UpstreamRefused
from proxy.metering.completions import (
    clean_chunk_choice,
    find_choice_failure,
    find_plain_content,
    head_of,
)
from proxy.metering.conversions import to_chunk
from proxy.metering.delivered import add_choices, estimate_usage
from proxy.metering.encodings import Encoding
from proxy.metering.failures import UNNAMED, find_failure, to_failure
from proxy.metering.reading import read_object
from proxy.metering.shapes import PASSED, Label
from proxy.metering.sse import DEFAULT_MAX_EVENT_BYTES, DONE, Event, error_event, is_end_marker
from proxy.metering.streams import StreamMeter
from proxy.metering.usage import Source, Usage, write_figures

Choices = list[dict[str, Any]]
# Fields of a delta, or of an older completion's choice, that are no output.
_SILENT = frozenset({"role", "index", "finish_reason", "logprobs"})


class ChunkMeter(StreamMeter):
    """Meters one stream of completion chunks. `n` is how many answers are in it."""

    def __init__(
        self,
        *,
        encoding: Encoding,
        label: Label,
        wants_usage: bool,
        kind: str = "chat.completion.chunk",
        n: int = 1,
        echoes: int = 0,
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
    ) -> None:
        super().__init__(encoding=encoding, label=label, max_event_bytes=max_event_bytes)
        # The official API does not mention usage unless it is asked to.
        self._tail = b',"usage":null}\n\n' if wants_usage else b"}\n\n"
        self._wants_usage = wants_usage
        self._kind = kind
        self._n = n
        # How often the whole prompt is repeated in the answers.
        self._echoes = echoes
        self._more = (PASSED["completion"] | label.extras) - {"obfuscation"}
        # The pieces of each answer's text, until they are counted.
        self._contents: dict[int, list[str]] = {}
        self._finished: set[int] = set()
        # The beginning of every chunk, up to its choices.
        self._head = b""
        # The end marker has come.
        self.is_done = False

    @property
    def has_ended(self) -> bool:
        """Whether the upstream has nothing more to send."""
        return self.is_done or self.error is not None

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end. Some upstreams send no end marker."""
        if self.error is not None or self.events_relayed == 0:
            return False
        return self.is_done or len(self._finished) >= self._n

    @property
    def failure(self) -> UpstreamError:
        """What went wrong with a stream that is not complete."""
        if self.error is not None:
            return self.error
        if self.is_done:
            # It ended in so many words, and has nothing in it.
            return UpstreamRefused(UNNAMED, {}, None)
        return AnswerBroken("the stream broke off")

    def take(self, event: Event) -> bytes:
        """Take one event and return what the client gets of it."""
        if self.has_ended:
            return b""
        name, data = event.read()
        if data is None or data[:1] != b"{":
            # An upstream's comments may name it. Some write an error as a line of JSON alone.
            data = (event.raw if data is None else data).strip()
        if name == b"error":
            self.error = to_failure(read_object(data))
            return b""
        if data[:1] != b"{":
            self.is_done = is_end_marker(data)
            return b""
        chunk = read_object(data)
        choices = chunk.get("choices")
        if choices.__class__ is not list or "error" in chunk or "x_groq" in chunk:
            self.error = find_failure(chunk)
            if self.error is not None or not isinstance(choices, list):
                self._note_all_usage(chunk)
                return b""
        if len(choices) == 1 and (text := find_plain_content(choices[0])) is not None:
            self._content(choices[0]["index"]).append(text)
            relayed = self._write(chunk, choices)
        else:
            relayed = self._take_choices(chunk, choices)
        if chunk.get("usage") or "x_groq" in chunk:
            self._note_all_usage(chunk)
        return relayed

    def take_whole(self, body: bytes) -> bytes:
        """Take an answer in one piece, sent in place of a stream. Raises UpstreamError."""
        answer = read_object(body)
        if not answer:
            raise MalformedAnswer("the answer is neither a stream nor an object")
        relayed = self.take(Event(b"data: " + orjson.dumps(to_chunk(answer)) + b"\n\n"))
        self.is_done = self.error is None
        return relayed

    def estimate(self, *, prompt_tokens: int, max_completion_tokens: int | None = None) -> Usage:
        """Count what was delivered so far, without repetitions of the prompt."""
        self.catch_up()
        return estimate_usage(
            self._delivered,
            prompt_tokens,
            echoes=self._echoes,
            max_completion_tokens=max_completion_tokens,
        )

    def closing(self, usage: Usage) -> bytes:
        """Return the end of a complete stream: a usage chunk, if asked for, and the end marker."""
        if not self._wants_usage:
            return DONE
        reported = self.reported if usage.source is Source.REPORTED else None
        figures = orjson.dumps(write_figures(usage, reported, self._label.extras))
        return self._head + b'[],"usage":' + figures + b"}\n\n" + DONE

    def failing(self, error: ApiError) -> bytes:
        """Return an error event without an end marker. SDKs take a mere cut for success."""
        return error_event(error)

    def _content(self, index: int) -> list[str]:
        """Return where the pieces of an answer's text are collected."""
        found = self._contents.get(index)
        if found is None:
            found = self._contents[index] = self._delivered.pieces_of(index, "content")
        return found

    def _take_choices(self, chunk: dict[str, Any], choices: list[Any]) -> bytes:
        cleaned: Choices = []
        for place, choice in enumerate(choices):
            if choice.__class__ is not dict:
                continue
            self.error = find_choice_failure(choice)
            if self.error is not None:
                return b""
            if shown := clean_chunk_choice(choice, place, self._label):
                cleaned.append(shown)
                if shown["finish_reason"] is not None:
                    self._finished.add(shown["index"])
            if "usage" in choice:
                self._note_usage(choice["usage"])
        if not cleaned:
            return b""
        add_choices(self._delivered, cleaned)
        return self._write(chunk, cleaned)

    def _write(self, chunk: dict[str, Any], choices: Choices) -> bytes:
        if not self._head:
            head = head_of(chunk, self._label, kind=self._kind, now=int(time.time()))
            self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":'
        if self.reported is not None and any(map(_says, choices)):
            self.is_provisional = True
        tail = self._tail
        if "obfuscation" in chunk:
            tail = b',"obfuscation":' + orjson.dumps(chunk["obfuscation"]) + tail
        if more := chunk.keys() & self._more:
            tail = b"," + orjson.dumps({name: chunk[name] for name in more})[1:-1] + tail
        return self._relay(self._head + orjson.dumps(choices) + tail)

    def _note_all_usage(self, chunk: dict[str, Any]) -> None:
        """Note figures at the top of a chunk, or where Groq puts them."""
        if usage := chunk.get("usage"):
            self._note_usage(usage)
        if isinstance(groq := chunk.get("x_groq"), dict):
            self._note_usage(groq.get("usage"))


def _says(choice: dict[str, Any]) -> bool:
    """Tell whether a choice of a chunk has output in it."""
    delta = choice.get("delta", choice)
    return any(value for name, value in delta.items() if name not in _SILENT)
