"""A request's usage, read from an upstream's figures or refused as impossible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from billing.catalogue import pricing
from proxy.errors import ImpossibleUsage

# Far beyond any model's context; keeps every product of tokens and rates within 64 bits.
MAX_COUNT = 10**9


class Source(StrEnum):
    REPORTED = "reported"
    ESTIMATED = "estimated"


@dataclass(frozen=True, slots=True)
class Usage(pricing.Usage):
    """Tokens by class, and who counted them."""

    source: Source = Source.REPORTED

    def writing_at_most(self, completion_tokens: int) -> Self:
        """Return it with no more completion tokens than these."""
        if self.completion_tokens <= completion_tokens:
            return self
        return replace(
            self,
            completion_tokens=completion_tokens,
            reasoning_tokens=min(self.reasoning_tokens, completion_tokens),
            completion_audio_tokens=min(self.completion_audio_tokens, completion_tokens),
        )

    def as_openai(self) -> dict[str, object]:
        """Return it as OpenAI's `CompletionUsage`."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.total_tokens,
            "prompt_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "audio_tokens": self.prompt_audio_tokens,
            },
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": self.completion_audio_tokens,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def as_response_usage(self) -> dict[str, object]:
        """Return it as OpenAI's `ResponseUsage`."""
        return {
            "input_tokens": self.prompt_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": self.cache_write_tokens,
            },
            "output_tokens": self.completion_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.total_tokens,
        }


def check_usage(raw: object, *, max_completion_tokens: int | None) -> Usage:
    """Read OpenAI's `CompletionUsage`. Raises ImpossibleUsage.

    `max_completion_tokens` is for all choices together; None where there was no maximum.
    An explicit zero counts as reported; a field that the specification makes optional is zero if
    it is absent or null.
    """
    figures = _Figures(raw)
    usage = Usage(
        prompt_tokens=figures.required("prompt_tokens"),
        # The usage of embeddings has no completion tokens.
        completion_tokens=(
            figures.optional("completion_tokens")
            if max_completion_tokens == 0
            else figures.required("completion_tokens")
        ),
        cached_tokens=figures.detail("prompt", "cached_tokens"),
        cache_write_tokens=figures.detail("prompt", "cache_write_tokens"),
        prompt_audio_tokens=figures.detail("prompt", "audio_tokens"),
        prompt_image_tokens=figures.detail("prompt", "image_tokens"),
        reasoning_tokens=figures.detail("completion", "reasoning_tokens"),
        completion_audio_tokens=figures.detail("completion", "audio_tokens"),
    )
    if usage.cached_tokens + usage.cache_write_tokens > usage.prompt_tokens:
        raise ImpossibleUsage("cached and cache-write tokens exceed the prompt", raw)
    if max_completion_tokens is not None and usage.completion_tokens > max_completion_tokens:
        raise ImpossibleUsage(
            f"completion_tokens is {usage.completion_tokens}, "
            f"above the maximum of {max_completion_tokens}",
            raw,
        )
    return usage


# The names in a response's usage, by those in a completion's.
_NAMES = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def as_completion_usage(raw: object) -> object:
    """Return a response's usage under a completion's names. What is not an object stays as is."""
    if not isinstance(raw, dict):
        return raw
    return {_NAMES.get(name, name): value for name, value in raw.items()}


class _Figures:
    """Reads the figures of one usage object, which its errors quote."""

    def __init__(self, raw: object) -> None:
        self._raw = raw
        self._values = self._as_object(raw, "usage")

    def required(self, name: str) -> int:
        if self._values.get(name) is None:
            raise ImpossibleUsage(f"{name} is missing", self._raw)
        return self._count(self._values[name], name)

    def optional(self, name: str) -> int:
        value = self._values.get(name)
        return 0 if value is None else self._count(value, name)

    def detail(self, parent: str, name: str) -> int:
        """Read a count that is part of another one and can't be more than it."""
        key = f"{parent}_tokens_details"
        if self._values.get(key) is None:
            return 0
        value = self._as_object(self._values[key], key).get(name)
        part = 0 if value is None else self._count(value, f"{key}.{name}")
        if part > self.optional(f"{parent}_tokens"):
            raise ImpossibleUsage(f"{key}.{name} exceeds {parent}_tokens", self._raw)
        return part

    def _count(self, value: object, name: str) -> int:
        # Not isinstance: `true` is no count, and neither are "12" and 12.0.
        if type(value) is not int:
            raise ImpossibleUsage(f"{name} is not an integer", self._raw)
        if not 0 <= value <= MAX_COUNT:
            raise ImpossibleUsage(f"{name} is {value}", self._raw)
        return value

    def _as_object(self, value: object, name: str) -> Mapping[str, object]:
        if not isinstance(value, dict):
            raise ImpossibleUsage(f"{name} is not an object", self._raw)
        return value
