"""What a request costs, class by class."""

from hypothesis import given
from hypothesis import strategies as st

from billing.catalogue.pricing import Rates, Usage, cost_credits, price_classes

RATES = Rates(
    price_id=1,
    version=1,
    prompt_millicredits=1_000,
    cached_prompt_millicredits=500,
    cache_write_millicredits=1_250,
    prompt_audio_millicredits=16_000,
    prompt_image_millicredits=2_000,
    completion_millicredits=4_000,
    reasoning_millicredits=5_000,
    completion_audio_millicredits=32_000,
)
COUNT = st.integers(0, 1_000)


def test_it_charges_each_class_at_its_own_rate() -> None:
    usage = Usage(
        prompt_tokens=100,
        cached_tokens=20,
        cache_write_tokens=10,
        prompt_audio_tokens=5,
        prompt_image_tokens=15,
        completion_tokens=40,
        reasoning_tokens=10,
        completion_audio_tokens=2,
    )

    cost = cost_credits(RATES, usage)

    prompt = 50 * 1 + 20 * 0.5 + 10 * 1.25 + 5 * 16 + 15 * 2
    completion = 28 * 4 + 10 * 5 + 2 * 32
    assert cost == 409 == -(-(prompt + completion) // 1)


def test_it_rounds_the_sum_up_once() -> None:
    usage = Usage(prompt_tokens=1, cached_tokens=1, completion_tokens=0)

    assert cost_credits(RATES, usage) == 1
    assert cost_credits(RATES, Usage(prompt_tokens=2, cached_tokens=2, completion_tokens=0)) == 1


def test_it_counts_a_cached_image_as_cached_alone() -> None:
    usage = Usage(prompt_tokens=100, cached_tokens=80, prompt_image_tokens=60, completion_tokens=0)

    once = usage.count_once()

    assert (once.cached_tokens, once.prompt_image_tokens) == (80, 20)
    assert cost_credits(RATES, usage) == 80 // 2 + 20 * 2


def test_it_knows_the_worst_that_a_token_can_cost() -> None:
    assert RATES.worst_prompt_millicredits == 16_000
    assert RATES.worst_completion_millicredits == 32_000


@given(st.builds(Usage, *[COUNT] * 8))
def test_no_token_is_charged_twice_or_left_out(usage: Usage) -> None:
    classes = {part.name: part.tokens for part in price_classes(RATES, usage)}

    completion = ("completion", "reasoning", "completion_audio")
    written = sum(classes.pop(name) for name in completion)
    assert written == usage.completion_tokens
    assert sum(classes.values()) == usage.prompt_tokens
    assert min(classes.values()) >= 0


@given(st.builds(Usage, *[COUNT] * 8))
def test_the_charge_is_what_the_lines_of_the_receipt_add_up_to(usage: Usage) -> None:
    lines = price_classes(RATES, usage)

    total = sum(line.tokens * line.rate_millicredits for line in lines)
    assert cost_credits(RATES, usage) == -(-total // 1_000)


@given(st.builds(Usage, *[COUNT] * 8))
def test_no_request_costs_more_than_its_worst_case(usage: Usage) -> None:
    worst = (
        usage.prompt_tokens * RATES.worst_prompt_millicredits
        + usage.completion_tokens * RATES.worst_completion_millicredits
    )

    assert cost_credits(RATES, usage) <= -(-worst // 1_000)
