"""What requests cost us."""

import pytest

from billing.catalogue.costs import UNKNOWN, Costs, cost_nanos
from billing.catalogue.pricing import Usage


def test_it_adds_up_the_classes() -> None:
    # 0.15 per million prompt tokens, 0.075 cached, 0.60 per million completion tokens.
    costs = Costs(150_000, 75_000, 600_000)

    # 600 × 150 + 400 × 75 + 50 × 600 nanos.
    assert cost_nanos(costs, Usage(1_000, 50, cached_tokens=400)) == 150_000


def test_a_cached_token_without_a_price_of_its_own_costs_as_any() -> None:
    costs = Costs(prompt_micros=150_000, completion_micros=0)

    assert cost_nanos(costs, Usage(1_000, 50, cached_tokens=400)) == 150_000


def test_it_rounds_up_once() -> None:
    costs = Costs(prompt_micros=1, completion_micros=1)

    assert cost_nanos(costs, Usage(1, 1)) == 1
    assert cost_nanos(costs, Usage(600, 401)) == 2
    assert cost_nanos(costs, Usage(0, 0)) == 0


@pytest.mark.parametrize(
    "costs", [UNKNOWN, Costs(prompt_micros=1), Costs(completion_micros=1, cached_prompt_micros=1)]
)
def test_it_does_not_guess(costs: Costs) -> None:
    assert cost_nanos(costs, Usage(1, 1)) is None
