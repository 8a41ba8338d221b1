"""The request of a chat completion: what we read of it, checked, and what goes upstream.

What decides the price or the shape of the answer is checked by the types and limits of OpenAI's
specification. What we don't know passes through untouched, so that tomorrow's parameters work;
except fields by which gateways and SDKs let a caller choose where a request goes and as whom.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import orjson

from proxy.exceptions import InvalidRequest
from proxy.parsing.messages import check_messages
from proxy.parsing.schema import (
    as_list,
    as_object,
    check_boolean,
    check_integer,
    check_number,
    check_string,
    fail,
)

DEFAULT_TEMPERATURE = 0.7
MAX_CHOICES = 128
MAX_MODEL_CHARS = 256

# Fields that would steer the call: LiteLLM's and the SDKs' transport settings, and OpenRouter's
# choice of other models, providers and paid plugins.
STEERING_FIELDS = frozenset(
    {
        "api_base",
        "api_key",
        "api_type",
        "api_version",
        "base_url",
        "custom_llm_provider",
        "deployment_id",
        "extra_body",
        "extra_headers",
        "extra_query",
        "fallbacks",
        "headers",
        "mock_response",
        "model_list",
        "models",
        "num_retries",
        "organization",
        "plugins",
        "provider",
        "route",
        "timeout",
    }
)


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A checked request. `body` is what the client sent and must not be changed."""

    body: dict[str, Any]
    model: str
    stream: bool
    # How many answers were asked for; each may be as long as the maximum.
    n: int
    # What the client set as the longest answer, under either name; None leaves it to us.
    client_max_tokens: int | None
    # Its name as the client wrote it, None if it set none.
    max_tokens_field: str | None
    # None unless the client set it.
    client_temperature: float | None
    # Whether the client wants the usage chunk of a stream.
    wants_usage: bool

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> Self:
        """Check a parsed body. Raises InvalidRequest naming the parameter at fault."""
        _refuse_steering(payload)
        model = _check_model(payload)
        if "messages" not in payload:
            fail(
                "Missing required parameter: 'messages'.", "messages", "missing_required_parameter"
            )
        check_messages(payload["messages"])
        _check_parameters(payload)
        stream = check_boolean(payload, "stream") or False
        max_tokens_field, client_max_tokens = _check_maximum(payload)
        return cls(
            body=payload,
            model=model,
            stream=stream,
            n=check_integer(payload, "n", at_least=1, at_most=MAX_CHOICES) or 1,
            client_max_tokens=client_max_tokens,
            max_tokens_field=max_tokens_field,
            client_temperature=check_number(payload, "temperature", at_least=0, at_most=2),
            wants_usage=_check_stream_options(payload, stream=stream),
        )

    def upstream_body(
        self,
        *,
        model: str,
        max_tokens: int | None,
        temperature: float | None = None,
        default_max_tokens_field: str = "max_tokens",
    ) -> bytes:
        """Write the body for an upstream: the client's, but for what is given here.

        The maximum goes under the name the client used, `temperature` only where the client set
        none, and a stream always asks for usage.
        """
        body = self.body | {"model": model}
        if max_tokens is not None:
            body[self.max_tokens_field or default_max_tokens_field] = max_tokens
        if temperature is not None and self.client_temperature is None:
            body["temperature"] = temperature
        if self.stream:
            body["stream_options"] = (body.get("stream_options") or {}) | {"include_usage": True}
        return orjson.dumps(body)


def _refuse_steering(payload: dict[str, Any]) -> None:
    for name in payload.keys() & STEERING_FIELDS:
        fail(f"Unsupported parameter: '{name}'.", name, "unsupported_parameter")


def _check_model(payload: dict[str, Any]) -> str:
    if "model" not in payload:
        fail("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    model = check_string(payload, "model", nullable=False)
    if not model or len(model) > MAX_MODEL_CHARS:
        fail(f"'model' must have 1 to {MAX_MODEL_CHARS} characters.", "model", "invalid_value")
    return model


def _check_maximum(payload: dict[str, Any]) -> tuple[str | None, int | None]:
    old = check_integer(payload, "max_tokens", at_least=1)
    new = check_integer(payload, "max_completion_tokens", at_least=1)
    if old is not None and new is not None:
        raise InvalidRequest(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if new is not None:
        return "max_completion_tokens", new
    return ("max_tokens", old) if old is not None else (None, None)


def _check_stream_options(payload: dict[str, Any], *, stream: bool) -> bool:
    if payload.get("stream_options") is None:
        return False
    if not stream:
        fail(
            "'stream_options' is only allowed when 'stream' is true.",
            "stream_options",
            "invalid_value",
        )
    options = as_object(payload["stream_options"], "stream_options")
    check_boolean(options, "include_obfuscation", within="stream_options.")
    return check_boolean(options, "include_usage", within="stream_options.") or False


def _check_parameters(payload: dict[str, Any]) -> None:
    check_number(payload, "top_p", at_least=0, at_most=1)
    check_number(payload, "frequency_penalty", at_least=-2, at_most=2)
    check_number(payload, "presence_penalty", at_least=-2, at_most=2)
    check_integer(payload, "seed")
    check_integer(payload, "top_logprobs", at_least=0, at_most=20)
    for name in ("logprobs", "store", "parallel_tool_calls"):
        check_boolean(payload, name)
    for name in ("user", "reasoning_effort", "service_tier", "verbosity", "prompt_cache_key"):
        check_string(payload, name)
    _check_stop(payload.get("stop"))
    _check_logit_bias(payload.get("logit_bias"))
    _check_metadata(payload.get("metadata"))
    _check_tools(payload)
    _check_response_format(payload.get("response_format"))


def _check_stop(stop: object) -> None:
    if stop is None or isinstance(stop, str):
        return
    stops = as_list(stop, "stop", expected="a string or an array of strings")
    if not 1 <= len(stops) <= 4:
        fail("'stop' must hold 1 to 4 strings.", "stop", "invalid_value")
    for index, text in enumerate(stops):
        if not isinstance(text, str):
            fail(f"'stop[{index}]' must be a string.", f"stop[{index}]", "invalid_type")


def _check_logit_bias(bias: object) -> None:
    if bias is None:
        return
    biases = as_object(bias, "logit_bias")
    for name in biases:
        check_number(biases, name, at_least=-100, at_most=100, within="logit_bias.")


def _check_metadata(metadata: object) -> None:
    if metadata is None:
        return
    entries = as_object(metadata, "metadata")
    for name in entries:
        check_string(entries, name, nullable=False, within="metadata.")


def _check_response_format(response_format: object) -> None:
    if response_format is None:
        return
    chosen = as_object(response_format, "response_format")
    check_string(chosen, "type", nullable=False, within="response_format.")
    if chosen["type"] == "json_schema":
        schema = as_object(chosen.get("json_schema"), "response_format.json_schema")
        check_string(schema, "name", nullable=False, within="response_format.json_schema.")


def _check_tools(payload: dict[str, Any]) -> None:
    for index, value in enumerate(_optional_list(payload, "tools")):
        where = f"tools[{index}]"
        tool = as_object(value, where)
        kind = check_string(tool, "type", nullable=False, within=f"{where}.")
        if kind not in {"function", "custom"}:
            fail(
                f"'{where}.type' must be 'function' or 'custom'.", f"{where}.type", "invalid_value"
            )
        _check_function(tool.get(kind), f"{where}.{kind}")
    for index, value in enumerate(_optional_list(payload, "functions")):
        _check_function(value, f"functions[{index}]")


def _check_function(value: object, where: str) -> None:
    function = as_object(value, where)
    check_string(function, "name", nullable=False, within=f"{where}.")
    check_string(function, "description", within=f"{where}.")
    if function.get("parameters") is not None:
        as_object(function["parameters"], f"{where}.parameters")


def _optional_list(payload: dict[str, Any], name: str) -> list[Any]:
    return [] if payload.get(name) is None else as_list(payload[name], name)
