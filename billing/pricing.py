"""What a request costs: integer millicredits per token and class, rounded once, up."""

from dataclasses import dataclass

MILLICREDITS = 1_000


@dataclass(frozen=True, slots=True)
class Rates:
    """One version of a model's price, in millicredits per token."""

    price_id: int
    version: int
    prompt_millicredits: int
    cached_prompt_millicredits: int
    completion_millicredits: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What an upstream counted, or we did. Cached is part of prompt, reasoning of completion."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


def cost_credits(rates: Rates, usage: Usage) -> int:
    """Return the charge in credits: the sum over the classes, rounded up once.

    Reasoning is priced as completion, which contains it; cached prompt replaces prompt.
    """
    return round_up(
        (usage.prompt_tokens - usage.cached_tokens) * rates.prompt_millicredits
        + usage.cached_tokens * rates.cached_prompt_millicredits
        + usage.completion_tokens * rates.completion_millicredits
    )


def round_up(millicredits: int) -> int:
    """Return whole credits, rounded up."""
    return -(-millicredits // MILLICREDITS)
