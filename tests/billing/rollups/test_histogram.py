"""Buckets of durations, and what is read from them."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from billing.rollups.histogram import BOUNDS_MS, BUCKETS, bucket_of, percentile_ms
from billing.rollups.quarters import next_quarter, quarter_of


def test_the_bounds_reach_from_25_ms_to_ten_minutes() -> None:
    assert (BOUNDS_MS[0], BOUNDS_MS[-1], BUCKETS) == (25, 579_262, 31)


@pytest.mark.django_db
@pytest.mark.parametrize("duration_ms", [0, 24, 25, 26, 999, 579_261, 579_262, 10**7])
def test_postgresql_sorts_into_the_same_buckets(duration_ms: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT width_bucket(%s, %s::int[])", [duration_ms, list(BOUNDS_MS)])
        assert cursor.fetchone() == (bucket_of(duration_ms),)


@pytest.mark.parametrize("percent", [1, 50, 95, 99])
@pytest.mark.parametrize("duration_ms", [30, 700, 12_345, 400_000])
def test_a_percentile_is_off_by_a_fifth_at_most(percent: int, duration_ms: int) -> None:
    counts = [0] * BUCKETS
    counts[bucket_of(duration_ms)] = 10

    read = percentile_ms(counts, percent)

    assert read is not None
    assert 0.84 < read / duration_ms < 1.19


def test_a_percentile_is_the_bucket_that_reaches_it() -> None:
    counts = [0] * BUCKETS
    counts[bucket_of(100)] = 95
    counts[bucket_of(5_000)] = 5

    assert percentile_ms(counts, 95) == percentile_ms(counts, 1) != percentile_ms(counts, 96)
    assert percentile_ms([0] * BUCKETS, 95) is None
    assert percentile_ms([1] + [0] * (BUCKETS - 1), 95) == 25
    assert percentile_ms([0] * (BUCKETS - 1) + [1], 95) == BOUNDS_MS[-1]


def test_a_quarter_begins_at_0_15_30_or_45() -> None:
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)

    assert quarter_of(noon) == noon == next_quarter(noon)
    assert quarter_of(noon + timedelta(minutes=29, seconds=59)) == noon + timedelta(minutes=15)
    assert next_quarter(noon + timedelta(microseconds=1)) == noon + timedelta(minutes=15)
