"""The messages of a chat, checked as OpenAI does."""

from typing import Any

from sandbox.upstream.errors import ApiError
from sandbox.upstream.validation import Payload, check_type, missing, wrong_type, wrong_value

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# What else than text a part may hold, and the field of it that must be a string.
MEDIA = {"image_url": "url", "input_audio": "data"}


def parse_messages(payload: Payload) -> list[dict[str, Any]]:
    """The messages of a body. Raises ApiError 400."""
    messages: list[dict[str, Any]] | None = check_type(payload, "messages", list)
    if messages is None:
        raise missing("messages")
    if not messages:
        raise ApiError(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an "
            "empty array instead.",
            param="messages",
            code="empty_array",
        )
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    return messages


def _check_message(message: object, param: str) -> None:
    if not isinstance(message, dict):
        raise wrong_type(param, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing(f"{param}.role")
    if role not in ROLES:
        raise wrong_value(f"{param}.role", "one of " + ", ".join(ROLES), role)
    for key in ("name", "refusal"):
        if message.get(key) is not None and not isinstance(message[key], str):
            raise wrong_type(f"{param}.{key}", "a string", message[key])
    if message.get("tool_calls") is not None:
        _check_tool_calls(message["tool_calls"], f"{param}.tool_calls")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise missing(f"{param}.tool_call_id")
    _check_content(message, param)


def _check_content(message: dict[str, Any], param: str) -> None:
    content = message.get("content")
    if content is None:
        # Only an assistant may say nothing (it called a tool, or it refused), or an old function.
        if message["role"] not in ("assistant", "function"):
            raise missing(f"{param}.content")
    elif isinstance(content, list):
        for index, part in enumerate(content):
            _check_part(part, f"{param}.content[{index}]")
    elif not isinstance(content, str):
        raise wrong_type(f"{param}.content", "a string or an array of parts", content)


def _check_part(part: object, param: str) -> None:
    if not isinstance(part, dict):
        raise wrong_type(param, "an object", part)
    kind = part.get("type")
    if not isinstance(kind, str):
        raise missing(f"{param}.type")
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            raise wrong_type(f"{param}.{kind}", "a string", part.get(kind))
    elif kind in MEDIA:
        _check_medium(part.get(kind), MEDIA[kind], f"{param}.{kind}")
    elif kind == "file":
        if not isinstance(part.get(kind), dict):
            raise wrong_type(f"{param}.{kind}", "an object", part.get(kind))
    else:
        known = "one of " + ", ".join(["text", "refusal", *MEDIA, "file"])
        raise wrong_value(f"{param}.type", known, kind)


def _check_medium(medium: object, field: str, param: str) -> None:
    if not isinstance(medium, dict):
        raise wrong_type(param, "an object", medium)
    if not isinstance(medium.get(field), str):
        raise missing(f"{param}.{field}")


def _check_tool_calls(calls: object, param: str) -> None:
    if not isinstance(calls, list):
        raise wrong_type(param, "an array", calls)
    for index, call in enumerate(calls):
        kind = call.get("type", "function") if isinstance(call, dict) else "function"
        argument = "input" if kind == "custom" else "arguments"
        body = call.get(kind) if isinstance(call, dict) and isinstance(kind, str) else None
        if not isinstance(body, dict):
            raise missing(f"{param}[{index}].function")
        for key in ("name", argument):
            if not isinstance(body.get(key), str):
                raise missing(f"{param}[{index}].{kind}.{key}")
