"""The request of a response: the fields that we check, and the body to send upstream.

We store no response, and an upstream would store it in an account that all customers share. So
`store` is always sent as false, and fields that refer to stored things are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from proxy.parsing.allowed import read_fields, without_nulls
from proxy.parsing.chat import RESPONSE_FORMATS
from proxy.parsing.fields import RESPONSES, SHAPES
from proxy.parsing.items import check_input
from proxy.parsing.request import (
    ModelRequest,
    check_metadata,
    check_model,
    check_service_tier,
    check_stream_options,
    check_strings,
    require,
)
from proxy.parsing.schema import (
    as_object,
    check_boolean,
    check_integer,
    check_number,
    check_string,
    fail,
)
from proxy.parsing.tools import check_response_tools


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest(ModelRequest):
    """A checked request for a response."""

    own_max_tokens_field: ClassVar[str | None] = "max_output_tokens"
    least_max_tokens: ClassVar[int] = 16

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> Self:
        """Check a parsed body. Raises InvalidRequest naming the parameter at fault."""
        payload, searches = check_response_tools(without_nulls(payload))
        reading = read_fields(payload, SHAPES[RESPONSES])
        reading.left_out = searches
        model = check_model(payload)
        require(payload, "input")
        check_input(payload["input"])
        _check_parameters(payload)
        stream = check_boolean(payload, "stream") or False
        check_stream_options(payload, stream=stream)
        maximum = check_integer(payload, "max_output_tokens", at_least=cls.least_max_tokens)
        return cls(
            body=payload,
            reading=reading,
            model=model,
            stream=stream,
            client_max_tokens=maximum,
            max_tokens_field="max_output_tokens" if maximum is not None else None,
            client_temperature=check_number(payload, "temperature", at_least=0, at_most=2),
        )

    def own_fields(self, body: Mapping[str, Any], temperature: float | None) -> dict[str, Any]:
        """Return `store` as false, so that no upstream stores the response."""
        return {"store": False}


def _check_parameters(payload: Mapping[str, Any]) -> None:
    check_number(payload, "top_p", at_least=0, at_most=1)
    check_integer(payload, "top_logprobs", at_least=0, at_most=20)
    check_integer(payload, "max_tool_calls", at_least=1)
    for name in ("background", "store", "parallel_tool_calls"):
        check_boolean(payload, name)
    for name in ("instructions", "user", "truncation", "prompt_cache_key", "safety_identifier"):
        check_string(payload, name)
    check_service_tier(payload)
    check_metadata(payload.get("metadata"))
    check_strings(payload.get("include"), "include")
    _check_text(payload.get("text"))
    _check_reasoning(payload.get("reasoning"))


def _check_text(text: object) -> None:
    if text is None:
        return
    options = as_object(text, "text")
    if options.get("format") is not None:
        chosen = as_object(options["format"], "text.format")
        kind = check_string(chosen, "type", nullable=False, within="text.format.")
        if kind not in RESPONSE_FORMATS:
            at = "text.format.type"
            fail(f"'{at}' must be 'text', 'json_object' or 'json_schema'.", at, "invalid_value")
        if kind == "json_schema":
            check_string(chosen, "name", nullable=False, within="text.format.")
            as_object(chosen.get("schema"), "text.format.schema")


def _check_reasoning(reasoning: object) -> None:
    if reasoning is None:
        return
    options = as_object(reasoning, "reasoning")
    for name in ("effort", "summary", "generate_summary"):
        check_string(options, name, within="reasoning.")
