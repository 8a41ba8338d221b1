"""Collect the texts of an answer, to count them if the upstream reports no usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from proxy.metering.encodings import Encoding, TextCounter
from proxy.metering.shapes import spell
from proxy.metering.usage import Source, Usage

# DeepSeek, vLLM and OpenRouter show its reasoning in one of these, or the same in several.
_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "thought", "reasoning_details")
# Fields that hold no text by the model, or text that is counted on its own.
_READ = frozenset(
    {*_THOUGHTS, "role", "tool_calls", "function_call", "audio", "images", "annotations"}
)


class Delivered:
    """Texts by choice and kind. The count does not depend on how a text was cut into deltas."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._written: dict[tuple[object, ...], _Text] = {}
        self._thought: dict[tuple[object, ...], _Text] = {}

    def write(self, text: object, *key: object) -> None:
        """Add text of the answer, under a key that tells it from other texts."""
        self._add(self._written, text, key)

    def think(self, text: object, *key: object) -> None:
        """Add text of the reasoning."""
        self._add(self._thought, text, key)

    def pieces_of(self, *key: object) -> list[str]:
        """Return the list to which pieces of the answer's text under a key may be added."""
        return self._written.setdefault(key, _Text(self._encoding)).pieces

    def count(self) -> None:
        """Count what was added and not counted yet, and drop it."""
        for text in (*self._written.values(), *self._thought.values()):
            text.count()

    def completion_tokens(self) -> int:
        """Count the answer and the reasoning."""
        return sum(text.total() for text in self._written.values()) + self.reasoning_tokens()

    def reasoning_tokens(self) -> int:
        """Count the reasoning."""
        return sum(text.total() for text in self._thought.values())

    def _add(
        self, texts: dict[tuple[object, ...], _Text], text: object, key: tuple[object, ...]
    ) -> None:
        # A value of another shape is counted by all the text in it.
        piece = text if text.__class__ is str else spell(text)
        if not piece:
            return
        try:
            found = texts[key]
        except TypeError:
            # Indices should be numbers; anything else that an upstream sends becomes a text.
            self._add(texts, piece, tuple(map(repr, key)))
            return
        except KeyError:
            found = texts[key] = _Text(self._encoding)
        found.pieces.append(piece)


class _Text:
    """One text: its pieces until they are counted, and its counter."""

    __slots__ = ("_counter", "pieces")

    def __init__(self, encoding: Encoding) -> None:
        self.pieces: list[str] = []
        self._counter = TextCounter(encoding)

    def count(self) -> None:
        self._counter.add("".join(self.pieces))
        self.pieces.clear()

    def total(self) -> int:
        self.count()
        return self._counter.total()


def add_choices(delivered: Delivered, choices: Iterable[Mapping[str, Any]]) -> None:
    """Add the texts of the choices of a chunk or a whole completion, as clients get them."""
    for choice in choices:
        index = choice["index"]
        # The older completions have `text`.
        delivered.write(choice.get("text"), index, "text")
        message = choice.get("delta") or choice.get("message")
        if message:
            _add_message(delivered, message, index)


def _add_message(delivered: Delivered, message: Mapping[str, Any], index: object) -> None:
    for name, value in message.items():
        if name not in _READ:
            # Any field that is not known counts as text.
            delivered.write(value, index, name)
    for name in _THOUGHTS:
        if message.get(name):
            delivered.think(message[name], index)
            break
    _add_call(delivered, message.get("function_call"), index, "function_call")
    if isinstance(audio := message.get("audio"), dict):
        delivered.write(audio.get("transcript"), index, "audio")
    for place, call in enumerate(message.get("tool_calls") or []):
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
    for index, item in enumerate(objects_of(response.get("output"))):
        for name in ("name", "arguments", "input"):
            delivered.write(item.get(name), index, name)
        is_thought = item.get("type") == "reasoning"
        for name in ("content", "summary"):
            if isinstance(item.get(name), str):
                delivered.write(item[name], index, name)
            for place, part in enumerate(objects_of(item.get(name))):
                if is_thought:
                    delivered.think(part.get("text"), index, name, place)
                else:
                    delivered.write(part.get("text"), index, name, place)
                    delivered.write(part.get("refusal"), index, "refusal", place)


def objects_of(values: object) -> list[dict[str, Any]]:
    """Return the objects of a list; what is no list has none."""
    found = values if isinstance(values, list) else []
    return [value for value in found if isinstance(value, dict)]


def estimate_usage(
    delivered: Delivered,
    prompt_tokens: int,
    *,
    echoes: int = 0,
    max_completion_tokens: int | None = None,
) -> Usage:
    """Return the usage by our count, less `echoes` repetitions of the prompt.

    It never exceeds the client's maximum, whatever tokenizer the model has.
    """
    written = max(0, delivered.completion_tokens() - echoes * prompt_tokens)
    usage = Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=written,
        reasoning_tokens=delivered.reasoning_tokens(),
        source=Source.ESTIMATED,
    )
    if max_completion_tokens is None or written <= max_completion_tokens:
        return usage
    return replace(
        usage,
        completion_tokens=max_completion_tokens,
        reasoning_tokens=min(usage.reasoning_tokens, max_completion_tokens),
    )
