"""Count a chat request's prompt: as well as can be for an estimate, never too low for a hold.

The published rules (OpenAI's cookbook, "How to count tokens with tiktoken") cover messages, names
and flat function schemas. What is not published, such as how a tool call in the history or a
response schema is written into the prompt, is counted by its text.

A hold must cover the worst case. For a model whose tokenizer we have, that is the exact count and
a margin; for others and for very long prompts it is the number of bytes, since no tokenizer makes
more than one token of a byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.metering.encodings import (
    CL100K,
    Encoding,
    count_text,
    encoding_for,
    encoding_name,
    is_known_model,
    warm,
)
from proxy.metering.images import bound_image, count_image
from proxy.parsing.chat import ChatRequest

__all__ = [
    "bound_prompt",
    "count_messages",
    "count_prompt",
    "count_prompt_off_loop",
    "count_text",
    "encoding_for",
    "prompt_upper_bound",
    "warm",
]

# Measured on one core: 25 to 60 µs per KB of prose, 220 at worst. So at most 0.4 ms of an event
# loop's time, 1.8 at worst, before counting moves to a thread (which costs about 0.1 ms).
INLINE_BYTES = 8 * 1024
# Above this even a thread is too much for a request that has not been paid for yet.
EXACT_BYTES = 1024 * 1024

PER_MESSAGE = 3
PER_NAME = 1
PRIMING = 3
# Not published; the text around a call's name and arguments, seen in usage of gpt-3.5-turbo.
PER_TOOL_CALL = 6
# The published constants of function schemas.
PER_FUNCTION = {CL100K: 10}
PER_FUNCTION_OTHERWISE = 7
PER_SCHEMA = 3
PER_PROPERTY = 3
PER_ENUM = -3
PER_ENUM_ITEM = 3
PER_TOOL_LIST = 12
# 10 tokens a second; the thinnest MP3 has 1,000 bytes a second, 1,333 characters in base64.
AUDIO_CHARS_PER_TOKEN = 100

# What an upstream may wrap around each part beyond the published rules.
MARGIN_PER_PROMPT = 16
MARGIN_PER_MESSAGE = 4
MARGIN_PER_TOOL = 32


@dataclass(slots=True)
class Prompt:
    """A request taken apart into what is tokenized and what has a fixed price."""

    model: str
    texts: list[str] = field(default_factory=list)
    # Sent along and perhaps read by the model, but not billed by the published rules.
    identifiers: list[str] = field(default_factory=list)
    tool_texts: list[str] = field(default_factory=list)
    tools_json: str = ""
    overhead: int = PRIMING
    tool_overhead: int = 0
    margin: int = MARGIN_PER_PROMPT
    media: int = 0
    media_bound: int = 0

    def size_bytes(self) -> int:
        return (
            _bytes(self.texts)
            + _bytes(self.identifiers)
            + max(_bytes(self.tool_texts), _bytes([self.tools_json]))
        )

    def count(self) -> int:
        """Count by the rules."""
        encoding = encoding_for(self.model)
        texts = _tokens(self.texts, encoding) + _tokens(self.tool_texts, encoding)
        return texts + self.overhead + self.tool_overhead + self.media

    def bound_exactly(self) -> int:
        """Count, and add what the rules leave open."""
        encoding = encoding_for(self.model)
        texts = _tokens(self.texts, encoding) + _tokens(self.identifiers, encoding)
        rules = _tokens(self.tool_texts, encoding) + self.tool_overhead
        tools = max(rules, _tokens([self.tools_json], encoding))
        return texts + tools + self.overhead + self.margin + self.media_bound

    def bound_by_size(self) -> int:
        """Take every byte for a token."""
        fixed = self.overhead + max(0, self.tool_overhead) + self.margin + self.media_bound
        return self.size_bytes() + fixed


def count_prompt(request: ChatRequest, *, model: str | None = None) -> int:
    """Count a prompt by the published rules, for an estimate or where usage is missing."""
    return _take_apart(request.body, model or request.model).count()


async def count_prompt_off_loop(request: ChatRequest, *, model: str | None = None) -> int:
    """Count a prompt by the published rules, in a thread if it is long."""
    prompt = _take_apart(request.body, model or request.model)
    if prompt.size_bytes() <= INLINE_BYTES:
        return prompt.count()
    return await asyncio.to_thread(prompt.count)


def prompt_upper_bound(request: ChatRequest, *, model: str | None = None) -> int:
    """Give a number that the prompt can't exceed, at once: exact if short, by size if long."""
    prompt = _take_apart(request.body, model or request.model)
    if is_known_model(prompt.model) and prompt.size_bytes() <= INLINE_BYTES:
        return prompt.bound_exactly()
    return prompt.bound_by_size()


async def bound_prompt(request: ChatRequest, *, model: str | None = None) -> int:
    """Give a number that the prompt can't exceed, closer for long prompts, off the event loop."""
    prompt = _take_apart(request.body, model or request.model)
    size_bytes = prompt.size_bytes()
    if not is_known_model(prompt.model) or size_bytes > EXACT_BYTES:
        return prompt.bound_by_size()
    if size_bytes <= INLINE_BYTES:
        return prompt.bound_exactly()
    return await asyncio.to_thread(prompt.bound_exactly)


def count_messages(messages: Sequence[Mapping[str, Any]], *, model: str) -> int:
    """Count messages by the published rule, the priming of the answer included."""
    prompt = Prompt(model)
    for message in messages:
        _add_message(prompt, message)
    return prompt.count()


def _take_apart(body: Mapping[str, Any], model: str) -> Prompt:
    prompt = Prompt(model)
    for message in body["messages"]:
        _add_message(prompt, message)
    tools = body.get("tools") or []
    functions = body.get("functions") or []
    if tools or functions:
        _add_tools(prompt, [*(tool[tool["type"]] for tool in tools), *functions])
        prompt.tools_json = _json([*tools, *functions])
    # A schema to answer in, text to predict from: both become part of what the model reads.
    for name in ("response_format", "prediction"):
        value = body.get(name)
        if isinstance(value, Mapping) and value.keys() != {"type"}:
            prompt.texts.append(_json(value))
    return prompt


def _add_message(prompt: Prompt, message: Mapping[str, Any]) -> None:
    prompt.overhead += PER_MESSAGE
    prompt.margin += MARGIN_PER_MESSAGE
    prompt.texts.append(message["role"])
    _add_content(prompt, message.get("content"))
    if isinstance(name := message.get("name"), str):
        prompt.texts.append(name)
        prompt.overhead += PER_NAME
    if isinstance(identifier := message.get("tool_call_id"), str):
        prompt.identifiers.append(identifier)
    if message["role"] == "assistant":
        _add_answer(prompt, message)


def _add_answer(prompt: Prompt, message: Mapping[str, Any]) -> None:
    for key in ("refusal", "reasoning_content"):
        if isinstance(text := message.get(key), str):
            prompt.texts.append(text)
    for call in message.get("tool_calls") or []:
        _add_call(prompt, call[call["type"]])
        prompt.identifiers.append(call["id"])
    if call := message.get("function_call"):
        _add_call(prompt, call)


def _add_content(prompt: Prompt, content: object) -> None:
    if isinstance(content, str):
        prompt.texts.append(content)
    elif isinstance(content, list):
        for part in content:
            prompt.margin += 1
            _add_part(prompt, part)


def _add_part(prompt: Prompt, part: Mapping[str, Any]) -> None:
    match part["type"]:
        case "text" | "refusal" as kind:
            prompt.texts.append(part[kind])
        case "image_url":
            image = part["image_url"]
            url, detail = image["url"], image.get("detail", "auto")
            prompt.media += count_image(url, detail=detail, model=prompt.model)
            prompt.media_bound += bound_image(url, detail=detail, model=prompt.model)
        case "input_audio":
            cost = -(-len(part["input_audio"]["data"]) // AUDIO_CHARS_PER_TOKEN)
            prompt.media += cost
            prompt.media_bound += cost
        case "file":
            # Text and page images of a document: its size is the one thing known of them.
            size = len(part["file"]["file_data"])
            prompt.media += size // 4
            prompt.media_bound += size


def _add_call(prompt: Prompt, call: Mapping[str, Any]) -> None:
    prompt.overhead += PER_TOOL_CALL
    for key in ("name", "arguments", "input"):
        if isinstance(text := call.get(key), str):
            prompt.texts.append(text)


def _add_tools(prompt: Prompt, functions: list[Mapping[str, Any]]) -> None:
    prompt.tool_overhead += PER_TOOL_LIST
    prompt.margin += MARGIN_PER_TOOL * (1 + len(functions))
    per_function = PER_FUNCTION.get(encoding_name(prompt.model), PER_FUNCTION_OTHERWISE)
    for function in functions:
        prompt.tool_overhead += per_function
        prompt.tool_texts.append(f"{function['name']}:{_description(function)}")
        _add_schema(prompt, function.get("parameters"))
        # A custom tool's grammar.
        if grammar := function.get("format"):
            prompt.tool_texts.append(_json(grammar))


def _add_schema(prompt: Prompt, schema: object) -> None:
    """Count an object schema; the rule is published for one level, and applied to each here."""
    if not isinstance(schema, Mapping):
        return
    properties = schema.get("properties")
    if isinstance(properties, Mapping) and properties:
        prompt.tool_overhead += PER_SCHEMA
        for name, value in properties.items():
            _add_property(prompt, name, value)
    _add_schema(prompt, schema.get("items"))
    for key in ("$defs", "definitions"):
        if isinstance(shared := schema.get(key), Mapping):
            for value in shared.values():
                _add_schema(prompt, value)
    for key in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(key), list):
            for option in options:
                _add_schema(prompt, option)


def _add_property(prompt: Prompt, name: str, value: object) -> None:
    prompt.tool_overhead += PER_PROPERTY
    schema = value if isinstance(value, Mapping) else {}
    kind = schema.get("type", "")
    prompt.tool_texts.append(
        f"{name}:{kind if isinstance(kind, str) else _json(kind)}:{_description(schema)}"
    )
    if isinstance(choices := schema.get("enum"), list) and choices:
        prompt.tool_overhead += PER_ENUM + PER_ENUM_ITEM * len(choices)
        prompt.tool_texts.extend(
            choice if isinstance(choice, str) else _json(choice) for choice in choices
        )
    _add_schema(prompt, schema)


def _description(schema: Mapping[str, Any]) -> str:
    description = schema.get("description")
    return description.removesuffix(".") if isinstance(description, str) else ""


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _tokens(texts: Iterable[str], encoding: Encoding) -> int:
    return sum(count_text(text, encoding) for text in texts if text)


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)
