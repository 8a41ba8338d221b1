"""The request of a chat completion: the fields that we check, and the body to send upstream."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from proxy.errors import InvalidRequest
from proxy.parsing.allowed import read_fields, without_nulls
from proxy.parsing.fields import CHAT, SHAPES
from proxy.parsing.messages import are_plain, check_messages
from proxy.parsing.request import (
    ModelRequest,
    asking_for_usage,
    check_logit_bias,
    check_metadata,
    check_model,
    check_service_tier,
    check_stop,
    check_strings,
    check_wants_usage,
    require,
)
from proxy.parsing.schema import (
    as_list,
    as_object,
    check_boolean,
    check_integer,
    check_number,
    check_string,
    fail,
)
from proxy.parsing.tools import check_chat_tools

DEFAULT_TEMPERATURE = 0.7
MAX_CHOICES = 128
MESSAGES = ("messages",)
RESPONSE_FORMATS = frozenset({"text", "json_object", "json_schema"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest(ModelRequest):
    """A checked request for a chat completion."""

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> Self:
        """Check a parsed body. Raises InvalidRequest naming the parameter at fault."""
        payload = without_nulls(payload)
        is_plain = are_plain(payload.get("messages"))
        reading = read_fields(payload, SHAPES[CHAT], known=MESSAGES if is_plain else ())
        model = check_model(payload)
        require(payload, "messages")
        if not is_plain:
            check_messages(payload["messages"])
        _check_parameters(payload)
        stream = check_boolean(payload, "stream") or False
        max_tokens_field, client_max_tokens = _check_maximum(payload)
        return cls(
            body=payload,
            reading=reading,
            model=model,
            stream=stream,
            n=check_integer(payload, "n", at_least=1, at_most=MAX_CHOICES) or 1,
            client_max_tokens=client_max_tokens,
            max_tokens_field=max_tokens_field,
            client_temperature=check_number(payload, "temperature", at_least=0, at_most=2),
            wants_usage=check_wants_usage(payload, stream=stream),
        )

    def own_fields(self, body: Mapping[str, Any], temperature: float | None) -> dict[str, Any]:
        """Return the default temperature, and the option that makes a stream report usage."""
        fields = asking_for_usage(body) if self.stream else {}
        if temperature is not None and self.client_temperature is None:
            fields["temperature"] = temperature
        # The chat would be stored in our account at the upstream, which all customers share.
        if self.body.get("store"):
            fields["store"] = False
        return fields

    def left_out(self) -> Collection[str]:
        """Return `metadata`, the labels of a stored chat: OpenAI refuses them without `store`."""
        return ("metadata",) if self.body.get("store") else ()


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


def _check_parameters(payload: dict[str, Any]) -> None:
    check_number(payload, "top_p", at_least=0, at_most=1)
    check_number(payload, "frequency_penalty", at_least=-2, at_most=2)
    check_number(payload, "presence_penalty", at_least=-2, at_most=2)
    check_integer(payload, "seed")
    check_integer(payload, "top_logprobs", at_least=0, at_most=20)
    for name in ("logprobs", "store", "parallel_tool_calls"):
        check_boolean(payload, name)
    for name in ("user", "reasoning_effort", "verbosity", "prompt_cache_key", "safety_identifier"):
        check_string(payload, name)
    check_service_tier(payload)
    check_stop(payload.get("stop"))
    check_logit_bias(payload)
    check_metadata(payload.get("metadata"))
    check_chat_tools(payload)
    _check_response_format(payload.get("response_format"))
    _check_audio(payload)
    _check_prediction(payload.get("prediction"))


def _check_audio(payload: Mapping[str, Any]) -> None:
    check_strings(payload.get("modalities"), "modalities")
    if payload.get("audio") is not None:
        audio = as_object(payload["audio"], "audio")
        check_string(audio, "format", nullable=False, within="audio.")


def _check_prediction(prediction: object) -> None:
    if prediction is None:
        return
    content = as_object(prediction, "prediction").get("content")
    if isinstance(content, str):
        return
    parts = as_list(content, "prediction.content", expected="a string or an array of text parts")
    for index, part in enumerate(parts):
        where = f"prediction.content[{index}]"
        check_string(as_object(part, where), "text", nullable=False, within=f"{where}.")


def _check_response_format(response_format: object) -> None:
    if response_format is None:
        return
    chosen = as_object(response_format, "response_format")
    kind = check_string(chosen, "type", nullable=False, within="response_format.")
    if kind not in RESPONSE_FORMATS:
        at = "response_format.type"
        fail(f"'{at}' must be 'text', 'json_object' or 'json_schema'.", at, "invalid_value")
    if kind == "json_schema":
        schema = as_object(chosen.get("json_schema"), "response_format.json_schema")
        check_string(schema, "name", nullable=False, within="response_format.json_schema.")
