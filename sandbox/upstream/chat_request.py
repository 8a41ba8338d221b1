"""The body of a chat completion, validated as OpenAI does."""

from dataclasses import dataclass
from typing import Any

from sandbox.upstream.errors import ApiError
from sandbox.upstream.messages import parse_messages
from sandbox.upstream.prompt import Prompt, Tool, ToolChoice
from sandbox.upstream.quirks import EFFORTS, check_capabilities
from sandbox.upstream.tools import (
    nested,
    parse_format,
    parse_function,
    parse_tool_choice,
    parse_tools,
)
from sandbox.upstream.validation import (
    Payload,
    check_choice,
    check_integer,
    check_number,
    check_type,
    wrong_type,
    wrong_value,
)

MAX_STOPS = 4
MAX_CHOICES = 128
MAX_TOKENS_LIMIT = 2**31 - 1
SEED_LIMIT = 2**63 - 1
MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What this provider acts on; fields it does not know are ignored."""

    prompt: Prompt
    is_stream: bool
    wants_usage: bool
    # Likely tokens to name beside each one; None if no probabilities were asked for.
    top_logprobs: int | None
    # Asked with `functions`, which `tools` superseded.
    is_legacy: bool

    @property
    def model(self) -> str:
        return self.prompt.model

    def digest(self) -> bytes:
        """What makes two requests the same conversation."""
        return self.prompt.digest()

    @classmethod
    def parse(cls, payload: Payload) -> "ChatRequest":
        """Validate a body. Raises ApiError 400 that names the parameter."""
        is_stream = bool(check_type(payload, "stream", bool))
        model = parse_model(payload)
        check_capabilities(model, payload)
        is_legacy = payload.get("functions") is not None
        tools = _functions(payload) if is_legacy else parse_tools(payload, nested)
        prompt = Prompt(
            model=model,
            messages=parse_messages(payload),
            max_tokens=_max_tokens(payload),
            choices=check_integer(payload, "n", 1, MAX_CHOICES) or 1,
            stops=parse_stops(payload),
            seed=check_integer(payload, "seed", -SEED_LIMIT, SEED_LIMIT) or 0,
            tools=tools,
            tool_choice=_choice(payload, tools, is_legacy=is_legacy),
            is_parallel=_is_parallel(payload, is_legacy=is_legacy),
            answer_format=parse_format(payload.get("response_format"), "response_format", nested),
            effort=check_choice(payload, "reasoning_effort", EFFORTS),
        )
        request = cls(
            prompt=prompt,
            is_stream=is_stream,
            wants_usage=parse_wants_usage(payload, is_stream),
            top_logprobs=_top_logprobs(payload),
            is_legacy=is_legacy,
        )
        check_sampling(payload)
        _check_the_rest(payload)
        return request


def parse_model(payload: Payload) -> str:
    """The model's name. Raises ApiError 400."""
    model: str | None = check_type(payload, "model", str)
    if not model:
        raise ApiError(400, "you must provide a model parameter", param="model")
    return model


def _functions(payload: Payload) -> list[Tool]:
    functions: list[Any] = check_type(payload, "functions", list) or []
    for index, function in enumerate(functions):
        if not isinstance(function, dict):
            raise wrong_type(f"functions[{index}]", "an object", function)
    return [parse_function(body, f"functions[{i}]") for i, body in enumerate(functions)]


def _choice(payload: Payload, tools: list[Tool], *, is_legacy: bool) -> ToolChoice:
    if not is_legacy:
        return parse_tool_choice(payload, tools, nested)
    value = payload.get("function_call")
    if isinstance(value, dict):
        value = {"type": "function", "function": value}
    return parse_tool_choice({"tool_choice": value}, tools, nested)


def _is_parallel(payload: Payload, *, is_legacy: bool) -> bool:
    is_parallel: bool | None = check_type(payload, "parallel_tool_calls", bool)
    return is_parallel is not False and not is_legacy


def _top_logprobs(payload: Payload) -> int | None:
    top = check_integer(payload, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    if check_type(payload, "logprobs", bool):
        return top or 0
    if top:
        raise ApiError(
            400,
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )
    return None


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


def parse_stops(payload: Payload) -> list[str]:
    """The texts that end an answer. Raises ApiError 400."""
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


def parse_wants_usage(payload: Payload, is_stream: bool) -> bool:
    """Does the stream end with its usage? Raises ApiError 400."""
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


def check_sampling(payload: Payload) -> None:
    """Check what changes nothing here, but that OpenAI would refuse when wrong."""
    check_number(payload, "temperature", 0, 2)
    check_number(payload, "top_p", 0, 1)
    check_number(payload, "presence_penalty", -2, 2)
    check_number(payload, "frequency_penalty", -2, 2)
    check_type(payload, "logit_bias", dict)
    check_type(payload, "user", str)


def _check_the_rest(payload: Payload) -> None:
    check_type(payload, "store", bool)
    check_type(payload, "metadata", dict)
