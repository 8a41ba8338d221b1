"""The request of a completion, the older API in which a model continues a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from proxy.parsing.allowed import read_fields, without_nulls
from proxy.parsing.fields import COMPLETIONS, SHAPES
from proxy.parsing.inputs import check_inputs, count_inputs
from proxy.parsing.request import (
    ModelRequest,
    asking_for_usage,
    check_logit_bias,
    check_model,
    check_stop,
    check_wants_usage,
    require,
)
from proxy.parsing.schema import check_boolean, check_integer, check_number, check_string, fail

MAX_CHOICES = 128
MAX_BEST_OF = 20
# The prompt that a model continues if it is given none.
NO_PROMPT = "<|endoftext|>"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionRequest(ModelRequest):
    """A checked request for a completion. `n` counts the answers to all its prompts."""

    # The upstream writes this many answers to each prompt and returns the best.
    best_of: int = 1

    default_max_tokens: ClassVar[int | None] = 16
    least_max_tokens: ClassVar[int] = 0

    @property
    def generations(self) -> int:
        """How many answers are written; `n` of them are returned."""
        return max(self.n, self.best_of)

    @classmethod
    def parse(cls, payload: dict[str, Any]) -> Self:
        """Check a parsed body. Raises InvalidRequest naming the parameter at fault."""
        require(payload, "prompt")
        payload = without_nulls(payload)
        payload.setdefault("prompt", NO_PROMPT)
        reading = read_fields(payload, SHAPES[COMPLETIONS])
        model = check_model(payload)
        prompts = count_inputs(check_inputs(payload["prompt"], "prompt", may_be_empty=True))
        _check_parameters(payload)
        stream = check_boolean(payload, "stream") or False
        n = check_integer(payload, "n", at_least=1, at_most=MAX_CHOICES) or 1
        best_of = _check_best_of(payload, n=n, stream=stream)
        maximum = check_integer(payload, "max_tokens", at_least=0)
        return cls(
            body=payload,
            reading=reading,
            model=model,
            stream=stream,
            n=prompts * n,
            best_of=prompts * best_of,
            echoes=n if check_boolean(payload, "echo") else 0,
            client_max_tokens=maximum,
            max_tokens_field="max_tokens" if maximum is not None else None,
            client_temperature=check_number(payload, "temperature", at_least=0, at_most=2),
            wants_usage=check_wants_usage(payload, stream=stream),
        )

    def own_fields(self, body: Mapping[str, Any], temperature: float | None) -> dict[str, Any]:
        """Return the option that makes a stream report its usage."""
        return asking_for_usage(body) if self.stream else {}


def _check_best_of(payload: dict[str, Any], *, n: int, stream: bool) -> int:
    best_of = check_integer(payload, "best_of", at_least=0, at_most=MAX_BEST_OF) or 1
    if best_of > 1 and stream:
        fail("'best_of' above 1 can't be streamed.", "best_of", "invalid_value")
    if payload.get("best_of") and best_of < n:
        fail(f"'best_of' must be at least 'n', which is {n}.", "best_of", "invalid_value")
    return best_of


def _check_parameters(payload: dict[str, Any]) -> None:
    check_number(payload, "top_p", at_least=0, at_most=1)
    check_number(payload, "frequency_penalty", at_least=-2, at_most=2)
    check_number(payload, "presence_penalty", at_least=-2, at_most=2)
    check_integer(payload, "seed")
    check_integer(payload, "logprobs", at_least=0, at_most=5)
    for name in ("suffix", "user"):
        check_string(payload, name)
    check_stop(payload.get("stop"))
    check_logit_bias(payload)
