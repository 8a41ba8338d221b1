"""Check the messages of a chat request: roles, and the contents that each may have.

By `ChatCompletionRequestMessage` of OpenAI's specification. An unknown kind of content is refused
rather than passed on: a hold can't cover what can't be counted.
"""

from __future__ import annotations

from typing import Any

from proxy.parsing.image_urls import check_detail, check_image_url
from proxy.parsing.schema import as_list, as_object, check_string, fail

_TEXT = frozenset({"text"})
_PARTS: dict[str, frozenset[str]] = {
    "developer": _TEXT,
    "system": _TEXT,
    "user": frozenset({"text", "image_url", "input_audio", "file"}),
    "assistant": frozenset({"text", "refusal"}),
    "tool": _TEXT,
    # Superseded by tools; its content is a string or null.
    "function": frozenset(),
}
_MAY_BE_EMPTY = frozenset({"assistant", "function"})
# The fields of messages that are texts and nothing else, as most are, by their roles.
_PLAIN = {
    "developer": {"role", "content"},
    "system": {"role", "content"},
    "user": {"role", "content"},
    "assistant": {"role", "content"},
    "tool": {"role", "content", "tool_call_id"},
}
_WITH_CALLS = {"role", "content", "tool_calls"}
_CALL = {"id", "type", "function"}
_CALLED = {"name", "arguments"}


def are_plain(messages: object) -> bool:
    """Tell whether messages are texts and calls of functions, as most are, and nothing else."""
    return type(messages) is list and bool(messages) and all(map(_is_plain, messages))


def check_messages(value: object) -> None:
    """Check the messages of a chat that are not plain."""
    messages = as_list(value, "messages")
    if not messages:
        fail("'messages' must not be empty.", "messages", "empty_array")
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        _check_message(as_object(message, where), where)


def _is_plain(message: object) -> bool:
    """Tell whether a message is allowed, and has no field beyond the specification."""
    if type(message) is not dict or type(role := message.get("role")) is not str:
        return False
    if message.keys() == _PLAIN.get(role):
        return set(map(type, message.values())) == {str}
    return role == "assistant" and message.keys() == _WITH_CALLS and _has_plain_calls(message)


def _has_plain_calls(message: dict[str, Any]) -> bool:
    content, calls = message["content"], message["tool_calls"]
    if type(calls) is not list or not (content is None or type(content) is str):
        return False
    return all(map(_is_plain_call, calls))


def _is_plain_call(call: object) -> bool:
    if type(call) is not dict or call.keys() != _CALL or call["type"] != "function":
        return False
    function = call["function"]
    return (
        type(call["id"]) is str
        and type(function) is dict
        and function.keys() == _CALLED
        and type(function["name"]) is type(function["arguments"]) is str
    )


def _check_message(message: dict[str, Any], where: str) -> None:
    role = check_string(message, "role", nullable=False, within=f"{where}.")
    if role not in _PARTS:
        known = ", ".join(f"'{name}'" for name in _PARTS)
        fail(
            f"Invalid value for '{where}.role': expected one of {known}.",
            f"{where}.role",
            "invalid_value",
        )
    _check_content(message, role, where)
    for name in ("name", "tool_call_id"):
        if name in message:
            check_string(message, name, nullable=False, within=f"{where}.")
    if role == "tool":
        check_string(message, "tool_call_id", nullable=False, within=f"{where}.")
    if role == "function":
        check_string(message, "name", nullable=False, within=f"{where}.")
    if role == "assistant":
        _check_answer(message, where)


def _check_content(message: dict[str, Any], role: str, where: str) -> None:
    content = message.get("content")
    if isinstance(content, str) or (content is None and role in _MAY_BE_EMPTY):
        return
    param = f"{where}.content"
    if "content" not in message:
        fail(f"Missing required parameter: '{param}'.", param, "missing_required_parameter")
    parts = as_list(content, param, expected="a string or an array of content parts")
    if not parts:
        fail(f"'{param}' must not be empty.", param, "empty_array")
    for index, part in enumerate(parts):
        _check_part(as_object(part, f"{param}[{index}]"), role, f"{param}[{index}]")


def _check_part(part: dict[str, Any], role: str, where: str) -> None:
    kind = check_string(part, "type", nullable=False, within=f"{where}.")
    if kind not in _PARTS[role]:
        known = ", ".join(f"'{name}'" for name in sorted(_PARTS[role])) or "a plain string"
        fail(
            f"Invalid value for '{where}.type': a message of the role '{role}' takes {known}.",
            f"{where}.type",
            "invalid_value",
        )
    match kind:
        case "image_url":
            _check_image(as_object(part.get(kind), f"{where}.{kind}"), f"{where}.{kind}")
        case "input_audio":
            audio = as_object(part.get(kind), f"{where}.{kind}")
            check_string(audio, "data", nullable=False, within=f"{where}.{kind}.")
            check_string(audio, "format", nullable=False, within=f"{where}.{kind}.")
        case "file":
            file = as_object(part.get(kind), f"{where}.{kind}")
            check_string(file, "file_data", nullable=False, within=f"{where}.{kind}.")
        case _:
            check_string(part, kind, nullable=False, within=f"{where}.")


def _check_image(image: dict[str, Any], where: str) -> None:
    url = check_string(image, "url", nullable=False, within=f"{where}.")
    check_image_url(url, f"{where}.url")
    check_detail(check_string(image, "detail", within=f"{where}."), f"{where}.detail")


def _check_answer(message: dict[str, Any], where: str) -> None:
    check_string(message, "refusal", within=f"{where}.")
    calls = message.get("tool_calls")
    for index, call in enumerate([] if calls is None else as_list(calls, f"{where}.tool_calls")):
        _check_call(as_object(call, f"{where}.tool_calls[{index}]"), f"{where}.tool_calls[{index}]")
    if (call := message.get("function_call")) is not None:
        _check_named(
            as_object(call, f"{where}.function_call"), "arguments", f"{where}.function_call"
        )


def _check_call(call: dict[str, Any], where: str) -> None:
    check_string(call, "id", nullable=False, within=f"{where}.")
    kind = check_string(call, "type", nullable=False, within=f"{where}.")
    if kind not in {"function", "custom"}:
        fail(f"'{where}.type' must be 'function' or 'custom'.", f"{where}.type", "invalid_value")
    told = "arguments" if kind == "function" else "input"
    _check_named(as_object(call.get(kind), f"{where}.{kind}"), told, f"{where}.{kind}")


def _check_named(value: dict[str, Any], told: str, where: str) -> None:
    check_string(value, "name", nullable=False, within=f"{where}.")
    check_string(value, told, nullable=False, within=f"{where}.")
