"""Collect the texts of an answer, to count them if the upstream reports no usage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.metering.encodings import Encoding, TextCounter
from proxy.metering.usage import Source, Usage

# The fields of a delta or a message that hold text by the model. DeepSeek, vLLM and OpenRouter show
# its reasoning in `reasoning_content` or `reasoning`.
_TEXTS = ("content", "refusal")
_THOUGHTS = ("reasoning_content", "reasoning")


class Delivered:
    """Texts by choice and kind. The count does not depend on how a text was cut into deltas."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._written: dict[tuple[object, ...], TextCounter] = {}
        self._thought: dict[tuple[object, ...], TextCounter] = {}

    def write(self, text: object, *key: object) -> None:
        """Add text of the answer, under a key that tells it from other texts."""
        _append(self._written, text, key, self._encoding)

    def think(self, text: object, *key: object) -> None:
        """Add text of the reasoning."""
        _append(self._thought, text, key, self._encoding)

    def completion_tokens(self) -> int:
        """Count the answer and the reasoning."""
        return sum(counter.total() for counter in self._written.values()) + self.reasoning_tokens()

    def reasoning_tokens(self) -> int:
        """Count the reasoning."""
        return sum(counter.total() for counter in self._thought.values())


def add_choices(delivered: Delivered, answer: Mapping[str, Any]) -> None:
    """Add the texts of a chunk or a whole completion. Values of another shape are left out."""
    for choice in _objects(answer.get("choices")):
        _add_choice(delivered, choice)


def _add_choice(delivered: Delivered, choice: Mapping[str, Any]) -> None:
    index = choice.get("index", 0)
    # The older completions have `text`.
    delivered.write(choice.get("text"), index, "text")
    message = choice.get("delta") or choice.get("message")
    if not isinstance(message, dict):
        return
    for name in _TEXTS:
        delivered.write(message.get(name), index, name)
    for name in _THOUGHTS:
        delivered.think(message.get(name), index)
    _add_call(delivered, message.get("function_call"), index, "function_call")
    audio = message.get("audio")
    if isinstance(audio, dict):
        delivered.write(audio.get("transcript"), index, "audio")
    for place, call in enumerate(_objects(message.get("tool_calls"))):
        which = call.get("index", place)
        _add_call(delivered, call.get("function"), index, which)
        _add_call(delivered, call.get("custom"), index, which)


def _add_call(delivered: Delivered, call: object, index: object, which: object) -> None:
    if isinstance(call, dict):
        delivered.write(call.get("name"), index, "name", which)
        delivered.write(call.get("arguments"), index, "arguments", which)
        delivered.write(call.get("input"), index, "arguments", which)


# The events of a response's stream that carry text, in their `delta`.
_WRITTEN_EVENTS = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.custom_tool_call_input.delta",
        "response.audio.transcript.delta",
    }
)
_THOUGHT_EVENTS = frozenset(
    {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
)


def add_event(delivered: Delivered, event: Mapping[str, Any]) -> None:
    """Add the text of an event of a response's stream, without what it repeats of earlier ones."""
    kind = event.get("type")
    key = (event.get("output_index", 0), event.get("content_index", event.get("summary_index")))
    if kind in _WRITTEN_EVENTS:
        delivered.write(event.get("delta"), *key)
    elif kind in _THOUGHT_EVENTS:
        delivered.think(event.get("delta"), *key)
    elif kind == "response.output_item.added":
        item = event.get("item")
        if isinstance(item, dict):
            delivered.write(item.get("name"), key[0], "name")


def add_output(delivered: Delivered, response: Mapping[str, Any]) -> None:
    """Add the texts of a whole response."""
    for index, item in enumerate(_objects(response.get("output"))):
        for name in ("name", "arguments", "input"):
            delivered.write(item.get(name), index, name)
        is_thought = item.get("type") == "reasoning"
        for name in ("content", "summary"):
            for place, part in enumerate(_objects(item.get(name))):
                if is_thought:
                    delivered.think(part.get("text"), index, name, place)
                else:
                    delivered.write(part.get("text"), index, name, place)
                    delivered.write(part.get("refusal"), index, "refusal", place)


def _objects(values: object) -> list[dict[str, Any]]:
    found = values if isinstance(values, list) else []
    return [value for value in found if isinstance(value, dict)]


def _append(
    counters: dict[tuple[object, ...], TextCounter],
    text: object,
    key: tuple[object, ...],
    encoding: Encoding,
) -> None:
    if not isinstance(text, str) or not text:
        return
    # Indices should be numbers; anything else that an upstream sends becomes a text.
    name = tuple(part if isinstance(part, int | str) else repr(part) for part in key)
    if name not in counters:
        counters[name] = TextCounter(encoding)
    counters[name].add(text)


def estimate_usage(delivered: Delivered, prompt_tokens: int, *, echoes: int = 0) -> Usage:
    """Return the usage by our count, less `echoes` repetitions of the prompt."""
    written = delivered.completion_tokens() - echoes * prompt_tokens
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=max(0, written),
        reasoning_tokens=delivered.reasoning_tokens(),
        source=Source.ESTIMATED,
    )


def parse_object(data: bytes | None) -> dict[str, Any]:
    """Parse a payload; {} if it is not a JSON object, since that has nothing to meter."""
    try:
        value = orjson.loads(data or b"")
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
