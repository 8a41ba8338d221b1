"""The body of a chat completion, validated as OpenAI does."""

from dataclasses import dataclass
from typing import Any

from sandbox.upstream.errors import ApiError
from sandbox.upstream.validation import (
    Payload,
    check_integer,
    check_number,
    check_type,
    missing,
    wrong_type,
    wrong_value,
)

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
MAX_STOPS = 4
MAX_CHOICES = 128
MAX_TOKENS_LIMIT = 2**31 - 1
SEED_LIMIT = 2**63 - 1


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What this provider acts on; fields it does not know are ignored."""

    model: str
    messages: list[dict[str, Any]]
    max_tokens: int | None
    choices: int
    stops: list[str]
    seed: int
    is_stream: bool
    wants_usage: bool

    @classmethod
    def parse(cls, payload: Payload) -> "ChatRequest":
        """Validate a body. Raises ApiError 400 that names the parameter."""
        is_stream = bool(check_type(payload, "stream", bool))
        request = cls(
            model=_model(payload),
            messages=_messages(payload),
            max_tokens=_max_tokens(payload),
            choices=check_integer(payload, "n", 1, MAX_CHOICES) or 1,
            stops=_stops(payload),
            seed=check_integer(payload, "seed", -SEED_LIMIT, SEED_LIMIT) or 0,
            is_stream=is_stream,
            wants_usage=_wants_usage(payload, is_stream),
        )
        _check_the_rest(payload)
        return request


def _model(payload: Payload) -> str:
    model: str | None = check_type(payload, "model", str)
    if not model:
        raise ApiError(400, "you must provide a model parameter", param="model")
    return model


def _messages(payload: Payload) -> list[dict[str, Any]]:
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
    _check_content(message, param)


def _check_content(message: dict[str, Any], param: str) -> None:
    content = message.get("content")
    if content is None:
        # Only an assistant may say nothing: it called a tool, or it refused.
        if message["role"] != "assistant":
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
    if kind in ("text", "refusal") and not isinstance(part.get(kind), str):
        raise wrong_type(f"{param}.{kind}", "a string", part.get(kind))


def _check_tool_calls(calls: object, param: str) -> None:
    if not isinstance(calls, list):
        raise wrong_type(param, "an array", calls)
    for index, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict):
            raise missing(f"{param}[{index}].function")
        for key in ("name", "arguments"):
            if not isinstance(function.get(key), str):
                raise missing(f"{param}[{index}].function.{key}")


def _max_tokens(payload: Payload) -> int | None:
    older = check_integer(payload, "max_tokens", 1, MAX_TOKENS_LIMIT)
    newer = check_integer(payload, "max_completion_tokens", 1, MAX_TOKENS_LIMIT)
    if older is not None and newer is not None:
        raise ApiError(
            400,
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    return newer if older is None else older


def _stops(payload: Payload) -> list[str]:
    stop = payload.get("stop")
    stops = [stop] if isinstance(stop, str) else stop
    if stops is None:
        return []
    if not isinstance(stops, list):
        raise wrong_type("stop", "a string or an array of strings", stop)
    if not 1 <= len(stops) <= MAX_STOPS:
        raise wrong_value("stop", f"1 to {MAX_STOPS} strings", stop)
    for index, text in enumerate(stops):
        if not isinstance(text, str):
            raise wrong_type(f"stop[{index}]", "a string", text)
    return [text for text in stops if text]


def _wants_usage(payload: Payload, is_stream: bool) -> bool:
    options: dict[str, Any] | None = check_type(payload, "stream_options", dict)
    if options is None:
        return False
    if not is_stream:
        raise ApiError(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    return bool(check_type(options, "include_usage", bool))


def _check_the_rest(payload: Payload) -> None:
    """Parameters that change nothing here, but that OpenAI would refuse when wrong."""
    check_number(payload, "temperature", 0, 2)
    check_number(payload, "top_p", 0, 1)
    check_number(payload, "presence_penalty", -2, 2)
    check_number(payload, "frequency_penalty", -2, 2)
    check_integer(payload, "top_logprobs", 0, 20)
    for param in ("logprobs", "store", "parallel_tool_calls"):
        check_type(payload, param, bool)
    for param in ("logit_bias", "metadata", "response_format"):
        check_type(payload, param, dict)
    check_type(payload, "tools", list)
    check_type(payload, "user", str)
