"""Take a response's input apart: instructions, messages, calls, their results, reasoning.

No rules are published for it. The usage that upstreams report follows the rules of chats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.metering.chats import (
    MARGIN_PER_MESSAGE,
    MARGIN_PER_PROMPT,
    PER_MESSAGE,
    PRIMING,
    add_file,
    add_image,
)
from proxy.metering.prompt import NEVER_SHOWN, Prompt, add_unread, to_json
from proxy.metering.tools import READ_OF_CALL, add_call, add_tools

# What is read of a call that is an item of its own.
READ_OF_ITEM = READ_OF_CALL | {"type", "call_id"}


def take_apart(body: Mapping[str, Any], model: str) -> Prompt:
    """Take apart the body of a checked request."""
    prompt = Prompt(model, overhead=PRIMING, margin=MARGIN_PER_PROMPT)
    if instructions := body.get("instructions"):
        _add_message(prompt, "system", instructions)
    given = body["input"]
    if isinstance(given, str):
        _add_message(prompt, "user", given)
    else:
        for item in given:
            _add_item(prompt, item)
    if tools := body.get("tools"):
        inner = (one for tool in tools for one in tool.get("tools") or ())
        add_tools(prompt, tools, [*tools, *inner])
    add_unread(prompt, body, NEVER_SHOWN | {"instructions", "input", "tools", "text"})
    _add_text_options(prompt, body.get("text") or {})
    return prompt


def _add_text_options(prompt: Prompt, text: Mapping[str, Any]) -> None:
    text_format = text.get("format") or {}
    if text_format.keys() - {"type"}:
        # The model reads the schema of its answer as part of the prompt.
        prompt.texts.append(to_json(text_format))
        add_unread(prompt, text, {"format"})
    else:
        add_unread(prompt, text, frozenset())


def _add_item(prompt: Prompt, item: Mapping[str, Any]) -> None:
    match item.get("type") or "message":
        case "message":
            _add_message(prompt, item["role"], item["content"])
            add_unread(prompt, item, {"type", "role", "content"})
        case "function_call" | "custom_tool_call":
            prompt.overhead += PER_MESSAGE
            add_call(prompt, item, READ_OF_ITEM)
            prompt.identifiers.append(item["call_id"])
        case "function_call_output" | "custom_tool_call_output":
            _add_message(prompt, "tool", item["output"])
            prompt.identifiers.append(item["call_id"])
            add_unread(prompt, item, {"type", "output", "call_id"})
        case "reasoning":
            _add_reasoning(prompt, item)


def _add_message(prompt: Prompt, role: str, content: object) -> None:
    prompt.overhead += PER_MESSAGE
    prompt.margin += MARGIN_PER_MESSAGE
    prompt.messages += 1
    prompt.texts.append(role)
    if isinstance(content, str):
        prompt.texts.append(content)
    elif isinstance(content, list):
        for part in content:
            prompt.margin += 1
            _add_part(prompt, part)


def _add_part(prompt: Prompt, part: Mapping[str, Any]) -> None:
    match part["type"]:
        case "input_text" | "output_text":
            prompt.texts.append(part["text"])
            # `logprobs`, of an earlier answer that is sent back, are figures that no model reads.
            add_unread(prompt, part, {"type", "text", "logprobs"})
        case "refusal":
            prompt.texts.append(part["refusal"])
            add_unread(prompt, part, {"type", "refusal"})
        case "input_image":
            add_image(prompt, part["image_url"], part.get("detail"))
            add_unread(prompt, part, {"type", "image_url", "detail"})
        case "input_file":
            add_file(prompt, part["file_data"])
            add_unread(prompt, part, {"type", "file_data"})


def _add_reasoning(prompt: Prompt, item: Mapping[str, Any]) -> None:
    """Add reasoning that is sent back: as text or, if it is encrypted, by its size."""
    prompt.overhead += PER_MESSAGE
    prompt.messages += 1
    for part in [*(item.get("summary") or []), *(item.get("content") or [])]:
        prompt.texts.append(part["text"])
        add_unread(prompt, part, {"text"})
    add_unread(prompt, item, {"type", "summary", "content", "encrypted_content"})
    sealed = item.get("encrypted_content") or ""
    # Four characters of base64 are three bytes, and a token has at least one.
    prompt.media += len(sealed) // 16
    prompt.sealed_bytes += -(-len(sealed) * 3 // 4)
