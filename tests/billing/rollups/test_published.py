"""What is published of models' speed."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from billing.models import SiteRollUp
from billing.rollups.histogram import BUCKETS, bucket_of
from billing.rollups.published import LEAST_REQUESTS, read_speeds
from billing.token_classes import COUNTS

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def forget() -> None:
    cache.clear()


def counts(ms: int, requests: int) -> list[int]:
    return [requests if at == bucket_of(ms) else 0 for at in range(BUCKETS)]


def add(requests: int, *, ms: int = 1_000, age_days: int = 0, **fields: Any) -> None:
    zeros = dict.fromkeys(COUNTS, 0)
    values = {
        "starts_at": timezone.now() - timedelta(days=age_days, minutes=requests),
        "model_name": "gpt-4",
        "outcome": "completed",
        "requests": requests,
        "charged_credits": 0,
        "write_off_credits": 0,
        "cost_nanos": 0,
        "unpriced_requests": 0,
        "duration_ms": ms * requests,
        "durations": counts(ms, requests),
        "first_bytes": counts(ms // 4, requests),
        **zeros,
        "completion_tokens": 30 * requests,
        **fields,
    }
    SiteRollUp.objects.create(**values)


def test_it_tells_the_median_and_the_tokens_per_second() -> None:
    add(40)
    add(20, ms=8_000)

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
    add(**row)

    assert read_speeds() == {}
