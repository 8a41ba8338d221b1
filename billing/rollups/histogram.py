"""The buckets in which roll-ups count durations and times to the first byte.

Bounds grow by the square root of two, from 25 ms to ten minutes: a percentile that is read as a
bucket's geometric middle is off by 19 % at most, for 31 integers a row. With doubling bounds it
would be 41 %.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import sqrt

FIRST_MS = 25
BOUNDS_MS = tuple(round(FIRST_MS * sqrt(2) ** step) for step in range(30))
# The first bucket is below all bounds, the last one above.
BUCKETS = len(BOUNDS_MS) + 1


def bucket_of(duration_ms: int) -> int:
    """Return the bucket of a duration, counted from 0, as PostgreSQL's `width_bucket` does."""
    return bisect_right(BOUNDS_MS, duration_ms)


def percentile_ms(counts: Sequence[int], percent: int) -> int | None:
    """Return the duration that so many percent of the requests did not exceed, None without any.

    It is the geometric middle of its bucket; of the first and the last bucket, their one bound.
    """
    reached = list(accumulate(counts))
    if not reached[-1]:
        return None
    bucket = bisect_left(reached, -(-reached[-1] * percent // 100))
    if bucket in (0, BUCKETS - 1):
        return BOUNDS_MS[min(bucket, BUCKETS - 2)]
    return round(sqrt(BOUNDS_MS[bucket - 1] * BOUNDS_MS[bucket]))
