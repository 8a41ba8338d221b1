"""What a request costs: integer millicredits per token and class, rounded once, up."""

from dataclasses import dataclass, replace
from typing import Self

MILLICREDITS = 1_000


@dataclass(frozen=True, slots=True)
class Rates:
    """One version of a model's price, in millicredits per token of each class."""

    price_id: int
    version: int
    prompt_millicredits: int
    cached_prompt_millicredits: int
    cache_write_millicredits: int
    prompt_audio_millicredits: int
    prompt_image_millicredits: int
    completion_millicredits: int
    reasoning_millicredits: int
    completion_audio_millicredits: int

    @property
    def worst_prompt_millicredits(self) -> int:
        """Return what no prompt token costs more than."""
        return max(
            self.prompt_millicredits,
            self.cached_prompt_millicredits,
            self.cache_write_millicredits,
            self.prompt_audio_millicredits,
            self.prompt_image_millicredits,
        )

    @property
    def worst_completion_millicredits(self) -> int:
        """Return what no completion token costs more than."""
        return max(
            self.completion_millicredits,
            self.reasoning_millicredits,
            self.completion_audio_millicredits,
        )


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class. Every class is a part of its parent, prompt or completion."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    prompt_audio_tokens: int = 0
    prompt_image_tokens: int = 0
    reasoning_tokens: int = 0
    completion_audio_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Return all tokens there were."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def _has_rare_classes(self) -> bool:
        return bool(
            self.cache_write_tokens
            or self.prompt_audio_tokens
            or self.prompt_image_tokens
            or self.completion_audio_tokens
        )

    def count_once(self) -> Self:
        """Return it with no token in two classes.

        A cached image token is reported as both: it stays in the class that is named first above.
        """
        if not (self.cached_tokens or self.reasoning_tokens) and not self._has_rare_classes:
            return self
        prompt = _fill(
            self.prompt_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
            self.prompt_audio_tokens,
            self.prompt_image_tokens,
        )
        completion = _fill(
            self.completion_tokens, self.reasoning_tokens, self.completion_audio_tokens
        )
        return replace(
            self,
            cached_tokens=prompt[0],
            cache_write_tokens=prompt[1],
            prompt_audio_tokens=prompt[2],
            prompt_image_tokens=prompt[3],
            reasoning_tokens=completion[0],
            completion_audio_tokens=completion[1],
        )


@dataclass(frozen=True, slots=True)
class PricedClass:
    """One class of a request's tokens: how many are in no other class, and their rate."""

    name: str
    tokens: int
    rate_millicredits: int

    @property
    def amount_millicredits(self) -> int:
        """Return what they make."""
        return self.tokens * self.rate_millicredits


def price_classes(rates: Rates, usage: Usage) -> list[PricedClass]:
    """Take a usage apart into its classes, each token counted once; the sum is the cost."""
    once = usage.count_once()
    read = once.cached_tokens + once.cache_write_tokens
    seen = once.prompt_audio_tokens + once.prompt_image_tokens
    thought = once.reasoning_tokens + once.completion_audio_tokens
    return [
        PricedClass("prompt", once.prompt_tokens - read - seen, rates.prompt_millicredits),
        PricedClass("cached_prompt", once.cached_tokens, rates.cached_prompt_millicredits),
        PricedClass("cache_write", once.cache_write_tokens, rates.cache_write_millicredits),
        PricedClass("prompt_audio", once.prompt_audio_tokens, rates.prompt_audio_millicredits),
        PricedClass("prompt_image", once.prompt_image_tokens, rates.prompt_image_millicredits),
        PricedClass("completion", once.completion_tokens - thought, rates.completion_millicredits),
        PricedClass("reasoning", once.reasoning_tokens, rates.reasoning_millicredits),
        PricedClass(
            "completion_audio", once.completion_audio_tokens, rates.completion_audio_millicredits
        ),
    ]


def cost_credits(rates: Rates, usage: Usage) -> int:
    """Return the charge in credits: the sum over the classes, rounded up once."""
    return round_up(sum(part.amount_millicredits for part in price_classes(rates, usage)))


def round_up(millicredits: int) -> int:
    """Return whole credits, rounded up."""
    return -(-millicredits // MILLICREDITS)


def _fill(whole: int, *parts: int) -> list[int]:
    """Cut the parts so that they fit into the whole together, the last ones first."""
    fitting = []
    for part in parts:
        fitting.append(min(part, whole))
        whole -= fitting[-1]
    return fitting
