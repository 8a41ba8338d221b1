"""What a request costs us at its provider, for the margin.

Providers publish a price per million tokens. It is kept in millionths of the currency, so 0.15 per
million tokens is 150,000 and the cost of one token is a whole number of picos (10^-12). A request's
cost is rounded once, up, to nanos (10^-9).
"""

from dataclasses import dataclass

from billing.catalogue.pricing import Usage

PICOS = 1_000


@dataclass(frozen=True, slots=True)
class Costs:
    """A route's prices, in millionths of the currency per million tokens. None if not known."""

    prompt_micros: int | None = None
    cached_prompt_micros: int | None = None
    completion_micros: int | None = None


UNKNOWN = Costs()


def cost_nanos(costs: Costs, usage: Usage) -> int | None:
    """Return what a usage costs us, in billionths of the currency. None if it is not known.

    If cached tokens have no price of their own, they cost as much as other prompt tokens.
    """
    prompt, completion = costs.prompt_micros, costs.completion_micros
    if prompt is None or completion is None:
        return None
    cached = prompt if costs.cached_prompt_micros is None else costs.cached_prompt_micros
    picos = (
        (usage.prompt_tokens - usage.cached_tokens) * prompt
        + usage.cached_tokens * cached
        + usage.completion_tokens * completion
    )
    return -(-picos // PICOS)
