"""What of an upstream's answer a client gets: fields by name, in one table.

An answer is written anew from these fields. At its top, in its choices and in its usage nothing
else passes; inside messages, deltas and items everything does but what tells who served a request
or what it cost. Each answer has an id of ours and the public name of its model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.parsing.telling import is_telling

# Fields that pass, by where they stand: those of OpenAI's specification, and known extras.
PASSED: dict[str, frozenset[str]] = {
    "completion": frozenset({"moderation", "obfuscation", "citations", "annotations"}),
    "choice": frozenset({"logprobs"}),
    "embedding": frozenset({"object", "index", "embedding"}),
    "response": frozenset(
        [
            "background",
            "completed_at",
            "conversation",
            "created_at",
            "error",
            "incomplete_details",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "moderation",
            "output",
            "output_text",
            "parallel_tool_calls",
            "previous_response_id",
            "prompt",
            "prompt_cache_options",
            "prompt_cache_retention",
            "reasoning",
            "service_tier",
            "status",
            "store",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_logprobs",
            "top_p",
            "truncation",
        ]
    ),
    "event": frozenset(
        [
            "annotation",
            "annotation_index",
            "arguments",
            "code",
            "command",
            "command_index",
            "content_index",
            "delta",
            "input",
            "item",
            "item_id",
            "logprobs",
            "name",
            "obfuscation",
            "output",
            "output_index",
            "part",
            "partial_image_b64",
            "partial_image_index",
            "refusal",
            "status",
            "summary_index",
            "text",
        ]
    ),
}
# What a response repeats of its request comes from the client's: we may have sent something else.
ECHOED = ("metadata", "user", "safety_identifier", "prompt_cache_key")
SERVICE_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

# Why a model stopped, in OpenAI's words. None: the upstream failed. Any other word means "stop".
FINISHES: dict[str, str | None] = {
    **dict.fromkeys(("length", "max_tokens", "max_length", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "tool_use", "tool_call"), "tool_calls"),
    "function_call": "function_call",
    **dict.fromkeys(
        ("content_filter", "safety", "recitation", "prohibited_content", "sensitive", "refusal"),
        "content_filter",
    ),
    **dict.fromkeys(
        ("error", "abort", "insufficient_system_resource", "network_error", "cancelled"), None
    ),
}
STOP = "stop"

_MAX_DEPTH = 40

_FINGERPRINT = re.compile(r"fp_[0-9a-f]{6,16}")
# The texts of a delta, which need no closer look.
_TEXTS = frozenset({"role", "content", "refusal", "reasoning_content", "reasoning"})
_NULLABLE = _TEXTS - {"role"}
_CALL = frozenset({"index", "id", "type", "function"})
_FUNCTION = frozenset({"name", "arguments"})
_NOT_TEXT = frozenset({"index", "function"})


@dataclass(frozen=True, slots=True)
class Label:
    """What an answer says of itself: the model's public name, and an id made of the request's."""

    model: str
    request_id: str = ""
    # Fields that staff let pass for the provider, at the top, in choices and in usage.
    extras: frozenset[str] = frozenset()
    # Values of the client's request that a response repeats.
    echoed: Mapping[str, Any] = field(default_factory=dict)

    def name(self, prefix: str) -> str:
        """Return the answer's id."""
        return prefix + self.request_id.removeprefix("req_")

    def pick(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that pass at one place, in the upstream's order."""
        passed = PASSED[kind]
        return {
            name: value for name, value in given.items() if name in passed or name in self.extras
        }


def without_telling(value: Any, depth: int = 0) -> Any:
    """Return a value without fields that tell, at any depth."""
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, dict):
        return {
            name: without_telling(inner, depth + 1) if isinstance(inner, dict | list) else inner
            for name, inner in value.items()
            if not is_telling(name)
        }
    if isinstance(value, list):
        return [without_telling(inner, depth + 1) for inner in value]
    return value


def read_finish(reason: object) -> str | None:
    """Return why a choice ended, in OpenAI's words; None if it has not, or has failed."""
    if not isinstance(reason, str) or not reason:
        return None
    return FINISHES.get(reason.lower(), STOP)


def is_failed_finish(reason: object) -> bool:
    """Tell whether a choice ended because the upstream failed."""
    return isinstance(reason, str) and FINISHES.get(reason.lower(), STOP) is None


def read_tier(tier: object) -> str | None:
    """Return a service tier of OpenAI's; others tell who served."""
    return tier if isinstance(tier, str) and tier in SERVICE_TIERS else None


def read_fingerprint(fingerprint: object) -> str | None:
    """Return a fingerprint in OpenAI's form, which is opaque; others name software or builds."""
    if isinstance(fingerprint, str) and _FINGERPRINT.fullmatch(fingerprint):
        return fingerprint
    return None


def clean_message(given: dict[str, Any]) -> dict[str, Any]:
    """Return a message or a delta as a client gets it."""
    for name, value in given.items():
        if value.__class__ is str:
            if name in _TEXTS:
                continue
        elif value is None:
            if name in _NULLABLE:
                continue
        elif name == "tool_calls" and value.__class__ is list and all(map(_is_plain_call, value)):
            continue
        return _clean_closely(given)
    return given


def _is_plain_call(call: Any) -> bool:
    """Tell whether a call has only what passes, in its usual shape."""
    if call.__class__ is not dict or not call.keys() <= _CALL:
        return False
    function = call.get("function")
    if function.__class__ is not dict or not function.keys() <= _FUNCTION:
        return False
    return all(value.__class__ is str for value in function.values()) and all(
        value.__class__ is str or name in _NOT_TEXT for name, value in call.items()
    )


def _clean_closely(given: Mapping[str, Any]) -> dict[str, Any]:
    message = {
        name: value
        for name, value in given.items()
        if (value is not None or name in _NULLABLE) and not is_telling(name)
    }
    calls = message.pop("tool_calls", None)
    called = message.pop("function_call", None)
    message = {name: without_telling(value) for name, value in message.items()}
    if isinstance(message.get("content"), list):
        message |= _join_parts(message["content"], message.get("reasoning_content"))
    if isinstance(calls, list):
        message["tool_calls"] = [
            _clean_call(call, place) for place, call in enumerate(calls) if isinstance(call, dict)
        ]
    if isinstance(called, dict):
        message["function_call"] = _clean_function(called)
    return message


def _join_parts(parts: list[Any], thought: object) -> dict[str, Any]:
    """Return content that came as parts as text and reasoning; other parts stay as they are."""
    written, thoughts = [], [thought] if isinstance(thought, str) else []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str):
            written.append(part)
        elif kind in {"text", "output_text"} and isinstance(part.get("text"), str):
            written.append(part["text"])
        elif kind in {"thinking", "reasoning"}:
            thoughts.append(spell(part.get("thinking", part.get("text"))))
        else:
            return {}
    joined: dict[str, Any] = {"content": "".join(written) if written or not thoughts else None}
    if thoughts:
        joined["reasoning_content"] = "".join(thoughts)
    return joined


def _clean_call(call: dict[str, Any], place: int) -> dict[str, Any]:
    function, custom = call.get("function"), call.get("custom")
    cleaned: dict[str, Any] = {
        name: without_telling(value)
        for name, value in call.items()
        if name not in {"function", "custom"} and value is not None and not is_telling(name)
    }
    if "index" in call and type(call["index"]) is not int:
        cleaned["index"] = place
    if isinstance(function, dict):
        cleaned["function"] = _clean_function(function)
    if isinstance(custom, dict):
        cleaned["custom"] = _clean_function(custom)
    return cleaned


def _clean_function(function: dict[str, Any]) -> dict[str, Any]:
    """Return a call's name and arguments. Arguments that came as an object become its text."""
    cleaned: dict[str, Any] = {
        name: function[name] for name in ("name", "arguments", "input") if name in function
    }
    for name, value in list(cleaned.items()):
        if value is None:
            del cleaned[name]
        elif not isinstance(value, str):
            cleaned[name] = orjson.dumps(value).decode()
    return cleaned


# Fields whose strings no model wrote, or that are not text.
_UNWRITTEN = frozenset({"type", "id", "format", "signature", "data", "url", "mime_type", "role"})


def spell(value: object, depth: int = 0) -> str:
    """Return all text in a value of any shape, so that what we can't read is not free."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    inner: Iterable[object] = ()
    if isinstance(value, dict):
        inner = (each for name, each in value.items() if name not in _UNWRITTEN)
    elif isinstance(value, list):
        inner = value
    return "".join(spell(each, depth + 1) for each in inner)
