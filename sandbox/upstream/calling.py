"""Which tools the model calls, and with which arguments."""

import hashlib
import re
from dataclasses import dataclass

import orjson

from sandbox.upstream import words
from sandbox.upstream.prompt import Prompt, Tool
from sandbox.upstream.schema_values import make_value

# What a custom tool is given: a text of so many words.
CUSTOM_INPUT_WORDS = 6


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool, and what it is called with: JSON for a function, text for a custom tool."""

    tool: Tool
    identifier: str
    argument: str


def plan_calls(prompt: Prompt, *, seed: int, count: int | None) -> list[PlannedCall]:
    """The calls that this turn makes; none if it answers in words.

    `count` is the number that a directive asks for. Raises UnsupportedSchemaError.
    """
    return [
        _plan(tool, prompt, seed=seed + index) for index, tool in enumerate(_choose(prompt, count))
    ]


def _choose(prompt: Prompt, count: int | None) -> list[Tool]:
    choice = prompt.tool_choice
    allowed = [t for t in prompt.tools if choice.names is None or t.name in choice.names]
    if choice.mode == "none" or not allowed:
        return []
    if choice.mode == "auto" and (count == 0 or _has_results(prompt)):
        return []
    tools = _wanted(allowed, prompt)
    if count:
        tools = [tools[index % len(tools)] for index in range(count)]
    return tools if prompt.is_parallel else tools[:1]


def _wanted(allowed: list[Tool], prompt: Prompt) -> list[Tool]:
    """Those that the user names, else the first, but none again that was called already."""
    called = _called(prompt)
    fresh = [tool for tool in allowed if tool.name not in called]
    text = prompt.last_user_text()
    mentions = {tool.name: re.search(rf"\b{re.escape(tool.name)}\b", text) for tool in fresh}
    positions = {name: found.start() for name, found in mentions.items() if found}
    mentioned = [tool for tool in fresh if tool.name in positions]
    if mentioned:
        return sorted(mentioned, key=lambda tool: positions[tool.name])
    return fresh[:1] or allowed[-1:]


def _called(prompt: Prompt) -> set[str]:
    messages = prompt.since_last_user()
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return {call[call.get("type", "function")]["name"] for call in calls}


def _has_results(prompt: Prompt) -> bool:
    return any(message["role"] in ("tool", "function") for message in prompt.since_last_user())


def _plan(tool: Tool, prompt: Prompt, *, seed: int) -> PlannedCall:
    identity = prompt.digest() + seed.to_bytes(32)
    identifier = "call_" + hashlib.blake2b(identity, digest_size=12).hexdigest()
    if tool.is_custom:
        return PlannedCall(tool, identifier, "".join(words.pieces(seed, CUSTOM_INPUT_WORDS)))
    # A function's arguments are always an object, whether its schema says so or not.
    schema = {"type": "object", **(tool.parameters or {})}
    value = make_value(schema, seed=seed, text=prompt.last_user_text())
    return PlannedCall(tool, identifier, orjson.dumps(value).decode())
