"""Collect the text of an answer, to count it where an upstream did not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.metering.encodings import Encoding, TextCounter

# Where a delta or a message holds text that a model wrote. `reasoning_content` and `reasoning`
# are what DeepSeek, vLLM and OpenRouter call thoughts that they show.
_TEXTS = ("content", "refusal")
_THOUGHTS = ("reasoning_content", "reasoning")


class Delivered:
    """Texts per choice and kind, each counted as a whole however it was cut into deltas."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._written: dict[tuple[object, ...], TextCounter] = {}
        self._thought: dict[tuple[object, ...], TextCounter] = {}

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take a chunk of a stream or a whole answer. What is not of its shape is not text."""
        choices = answer.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict):
                self._add_choice(choice)

    def completion_tokens(self) -> int:
        return sum(counter.total() for counter in self._written.values()) + self.reasoning_tokens()

    def reasoning_tokens(self) -> int:
        return sum(counter.total() for counter in self._thought.values())

    def _add_choice(self, choice: Mapping[str, Any]) -> None:
        index = choice.get("index", 0)
        # `text` is how the older completions say it.
        self._write(choice.get("text"), index, "text")
        message = choice.get("delta") or choice.get("message")
        if not isinstance(message, dict):
            return
        for name in _TEXTS:
            self._write(message.get(name), index, name)
        for name in _THOUGHTS:
            self._think(message.get(name), index)
        self._add_call(message.get("function_call"), index, "function_call")
        audio = message.get("audio")
        if isinstance(audio, dict):
            self._write(audio.get("transcript"), index, "audio")
        calls = message.get("tool_calls")
        for place, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, dict):
                which = call.get("index", place)
                self._add_call(call.get("function"), index, which)
                self._add_call(call.get("custom"), index, which)

    def _add_call(self, call: object, index: object, which: object) -> None:
        if isinstance(call, dict):
            self._write(call.get("name"), index, "name", which)
            self._write(call.get("arguments"), index, "arguments", which)
            self._write(call.get("input"), index, "arguments", which)

    def _write(self, text: object, *key: object) -> None:
        _append(self._written, text, key, self._encoding)

    def _think(self, text: object, *key: object) -> None:
        _append(self._thought, text, key, self._encoding)


def _append(
    counters: dict[tuple[object, ...], TextCounter],
    text: object,
    key: tuple[object, ...],
    encoding: Encoding,
) -> None:
    if not isinstance(text, str) or not text:
        return
    # Indices are numbers; whatever else an upstream sends must at least be a key.
    name = tuple(part if isinstance(part, int | str) else repr(part) for part in key)
    if name not in counters:
        counters[name] = TextCounter(encoding)
    counters[name].add(text)
