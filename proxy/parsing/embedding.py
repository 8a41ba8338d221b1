"""The request of embeddings, whose answer has vectors and no text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from proxy.parsing.allowed import read_fields, without_nulls
from proxy.parsing.fields import EMBEDDINGS, SHAPES
from proxy.parsing.inputs import check_inputs
from proxy.parsing.request import ModelRequest, check_model, require
from proxy.parsing.schema import check_integer, check_string, fail

FORMATS = frozenset({"float", "base64"})


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest(ModelRequest):
    """A checked request for embeddings."""

    own_max_tokens_field: ClassVar[str | None] = None
    default_max_tokens: ClassVar[int | None] = 0
    least_max_tokens: ClassVar[int] = 0

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> Self:
        """Check a parsed body. Raises InvalidRequest naming the parameter at fault."""
        payload = without_nulls(payload)
        reading = read_fields(payload, SHAPES[EMBEDDINGS])
        model = check_model(payload)
        require(payload, "input")
        check_inputs(payload["input"], "input")
        check_integer(payload, "dimensions", at_least=1)
        check_string(payload, "user")
        encoding_format = check_string(payload, "encoding_format")
        if encoding_format and encoding_format not in FORMATS:
            fail(
                "'encoding_format' must be 'float' or 'base64'.", "encoding_format", "invalid_value"
            )
        return cls(body=payload, reading=reading, model=model)
