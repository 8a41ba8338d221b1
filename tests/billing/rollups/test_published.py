"""What is published of models' speed."""

from typing import Any

import pytest
from django.core.cache import cache

from billing.rollups.published import LEAST_REQUESTS, read_speeds
from tests.speeds import add_speed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forget() -> None:
    cache.clear()


def test_it_tells_the_median_and_the_tokens_per_second() -> None:
    add_speed(40)
    add_speed(20, ms=8_000)

    speed = read_speeds()["gpt-4"]

    # 60 × 30 tokens in 40 × 1 s and 20 × 8 s.
    assert (speed.requests, speed.tokens_per_s) == (60, 9)
    # Within a bucket, whose bounds are 1.41 apart.
    assert speed.total_ms is not None
    assert 800 < speed.total_ms < 1_300
    assert speed.first_byte_ms is not None
    assert 200 < speed.first_byte_ms < 320


@pytest.mark.parametrize(
    "row",
    [
        {"requests": LEAST_REQUESTS - 1},
        {"requests": LEAST_REQUESTS, "age_days": 8},
        {"requests": LEAST_REQUESTS, "outcome": "broken"},
    ],
)
def test_it_tells_nothing_of_few_of_old_and_of_broken_answers(row: dict[str, Any]) -> None:
    add_speed(**row)

    assert read_speeds() == {}
