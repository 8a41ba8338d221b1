"""What a request costs: integer millicredits per token and class, rounded once, up."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from operator import attrgetter, mul
from typing import Self, cast

from billing.token_classes import BY_NAME, CLASSES, PARTS, TokenClass

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
        """Return the highest rate of all classes of the prompt."""
        return max(_rates_of_prompt(self))

    @property
    def worst_completion_millicredits(self) -> int:
        """Return the highest rate of all classes of the completion."""
        return max(_rates_of_completion(self))


_Read = Callable[[object], tuple[int, ...]]
_rates_of_prompt, _rates_of_completion = (
    cast(_Read, attrgetter(parent.rate, *(part.rate for part in parts)))
    for parent, parts in PARTS.items()
)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by class. Every other class is part of its parent, prompt or completion."""

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
        """Return prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def count_once(self) -> Self:
        """Return the usage with no token counted in two classes of one parent.

        A cached image token is reported in two classes: it is counted in the first of the table.
        """
        if not any(_parts_of(self)):
            return self
        fitting: dict[str, int] = {}
        for parent, parts in PARTS.items():
            left: int = getattr(self, parent.count)
            for part in parts:
                fitting[part.count] = min(getattr(self, part.count), left)
                left -= fitting[part.count]
        return replace(self, **fitting)


_parts_of: _Read = attrgetter(*(part.count for parts in PARTS.values() for part in parts))


@dataclass(frozen=True, slots=True)
class PricedClass:
    """One class of a request's tokens: how many are counted in it alone, and their rate."""

    name: str
    tokens: int
    rate_millicredits: int

    @property
    def label(self) -> str:
        """Return the class in a customer's words."""
        return BY_NAME[self.name].label

    @property
    def amount_millicredits(self) -> int:
        """Return what these tokens cost, before rounding."""
        return self.tokens * self.rate_millicredits


def price_classes(rates: Rates, usage: Usage) -> list[PricedClass]:
    """Split a usage into its classes, each token counted once; their sum is the cost."""
    once = usage.count_once()
    return [
        PricedClass(each.name, _tokens_of(each, once), getattr(rates, each.rate))
        for each in CLASSES
    ]


def _tokens_of(each: TokenClass, once: Usage) -> int:
    """Return the tokens of this class without those of its parts."""
    parts: Iterable[int] = (getattr(once, part.count) for part in PARTS.get(each, ()))
    return int(getattr(once, each.count)) - sum(parts)


def cost_credits(rates: Rates, usage: Usage) -> int:
    """Return the charge in credits: what `price_classes` adds up to, rounded up once."""
    once = usage.count_once()
    # A part's tokens are among those of its parent, too, and cost its own rate alone.
    twice = sum(map(mul, _parts_of(once), _rates_of_parents(rates)))
    return round_up(sum(map(mul, _counts_of(once), _rates_of(rates))) - twice)


_counts_of: _Read = attrgetter(*(each.count for each in CLASSES))
_rates_of: _Read = attrgetter(*(each.rate for each in CLASSES))
_rates_of_parents: _Read = attrgetter(
    *(parent.rate for parent, parts in PARTS.items() for _ in parts)
)


def round_up(millicredits: int) -> int:
    """Return whole credits, rounded up."""
    return -(-millicredits // MILLICREDITS)
