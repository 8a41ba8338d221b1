"""Take a chat apart into the texts and fixed numbers that its prompt is counted by.

The published rules (OpenAI's cookbook, "How to count tokens with tiktoken") cover messages, names
and flat function schemas. Parts without a published rule, such as a tool call in the history or
a response schema, are counted by their text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.metering.images import count_image
from proxy.metering.prompt import NEVER_SHOWN, Prompt, add_unread, to_json
from proxy.metering.tools import add_call, add_tools
from proxy.parsing.jsonbody import written_of
from proxy.parsing.tools import CALLED

# What is read of a message, and of an assistant's beside it.
READ = frozenset({"role", "content", "name", "tool_call_id"})
READ_OF_ANSWER = READ | {"tool_calls", "function_call"}
# A message that is a text, as most are.
PLAIN = frozenset({"role", "content"})
# What is read of a call beside it, by its kind.
READ_OF_CALLS = {kind: frozenset({"id", "type", kind}) for kind in CALLED}
PER_MESSAGE = 3
PER_NAME = 1
PRIMING = 3
# 10 tokens a second; a usual thin MP3 has 1,000 bytes a second, 1,333 characters in base64.
AUDIO_CHARS_PER_TOKEN = 100

# The tokens that an upstream may add to a prompt beyond the published rules.
MARGIN_PER_PROMPT = 16
MARGIN_PER_MESSAGE = 4


def take_apart(body: Mapping[str, Any], model: str) -> Prompt:
    """Take apart the body of a checked request."""
    prompt = _empty(model)
    messages = body["messages"]
    prompt.messages = len(messages)
    prompt.overhead += PER_MESSAGE * len(messages)
    prompt.margin += MARGIN_PER_MESSAGE * len(messages)
    for message in messages:
        _add_message(prompt, message)
    tools = body.get("tools") or []
    functions = body.get("functions") or []
    if tools or functions:
        add_tools(
            prompt,
            [*tools, *functions],
            [*(tool[tool["type"]] for tool in tools), *functions],
            written=None if functions else written_of(body).get("tools"),
        )
    read = {"messages", "tools", "functions", "prediction"}
    # The model reads the schema of its answer as part of the prompt.
    response_format = body.get("response_format")
    if type(response_format) is dict and response_format.keys() != {"type"}:
        prompt.texts.append(to_json(response_format))
        read.add("response_format")
    if prediction := body.get("prediction"):
        _add_prediction(prompt, prediction)
    add_unread(prompt, body, read | NEVER_SHOWN)
    return prompt


def _add_prediction(prompt: Prompt, prediction: Mapping[str, Any]) -> None:
    content = prediction["content"]
    parts = [{"text": content}] if isinstance(content, str) else content
    for part in parts:
        prompt.predicted.append(part["text"])
        prompt.texts.append(part["text"])
        add_unread(prompt, part, {"text"})
    add_unread(prompt, prediction, {"content"})


def _empty(model: str) -> Prompt:
    return Prompt(model, overhead=PRIMING, margin=MARGIN_PER_PROMPT)


def _add_message(prompt: Prompt, message: Mapping[str, Any]) -> None:
    prompt.texts.append(message["role"])
    _add_content(prompt, message.get("content"))
    if message.keys() == PLAIN:
        return
    if isinstance(name := message.get("name"), str):
        prompt.texts.append(name)
        prompt.overhead += PER_NAME
    if isinstance(identifier := message.get("tool_call_id"), str):
        prompt.identifiers.append(identifier)
    read = _add_answer(prompt, message) if message["role"] == "assistant" else READ
    add_unread(prompt, message, read)


def _add_answer(prompt: Prompt, message: Mapping[str, Any]) -> frozenset[str]:
    """Add the fields that only an assistant's message has. Return what was read of it."""
    for call in message.get("tool_calls") or ():
        kind = call["type"]
        add_call(prompt, call[kind])
        prompt.identifiers.append(call["id"])
        add_unread(prompt, call, READ_OF_CALLS[kind])
    if call := message.get("function_call"):
        add_call(prompt, call)
    read = READ_OF_ANSWER
    if message.keys() <= read:
        return read
    for key in ("refusal", "reasoning_content"):
        if isinstance(text := message.get(key), str):
            prompt.texts.append(text)
            read |= {key}
    return read


def _add_content(prompt: Prompt, content: object) -> None:
    if isinstance(content, str):
        prompt.texts.append(content)
    elif isinstance(content, list):
        for part in content:
            prompt.margin += 1
            _add_part(prompt, part)
            add_unread(prompt, part, {"type", part["type"]})


def _add_part(prompt: Prompt, part: Mapping[str, Any]) -> None:
    match part["type"]:
        case "text" | "refusal" as kind:
            prompt.texts.append(part[kind])
        case "image_url":
            image = part["image_url"]
            add_image(prompt, image["url"], image.get("detail"))
            add_unread(prompt, image, {"url", "detail"})
        case "input_audio":
            audio = part["input_audio"]
            prompt.media += -(-len(audio["data"]) // AUDIO_CHARS_PER_TOKEN)
            prompt.has_files = True
            add_unread(prompt, audio, {"data"})
        case "file":
            add_file(prompt, part["file"]["file_data"])
            add_unread(prompt, part["file"], {"file_data"})


def add_image(prompt: Prompt, url: str, detail: str | None) -> None:
    """Add an image, by the rules for its model."""
    prompt.media += count_image(url, detail=detail or "auto", model=prompt.model)
    prompt.images.append(detail or "auto")


def add_file(prompt: Prompt, data: str) -> None:
    """Add a document's text and page images, by its size, since no more is known of them."""
    prompt.media += len(data) // 4
    prompt.has_files = True
