"""Requests of all customers that were refused and left no receipt: how many a day, by status.

Counts in Redis beside the cache, kept for as long as the desk compares. Nothing depends on them.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import redis
from django.conf import settings

from billing.wallet.address import open_redis

KEPT = timedelta(days=62)
TIMEOUT_S = 3
# From here on a status is our fault, or an upstream's.
OURS = 500


@dataclass(slots=True)
class RefusedOfDay:
    """What was refused on a day: by the caller's fault, and by ours or an upstream's."""

    callers: int = 0
    ours: int = 0


def open_counts() -> redis.Redis:
    """Return a client of the Redis that keeps counts of refusals."""
    return open_redis(
        settings.CELERY_BROKER_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        decode_responses=True,
    )


def add_to_day(pipeline: Any, day: date, *, status: int, count: int) -> None:
    """Have a pipeline add to a day."""
    pipeline.hincrby(_name(day), str(status), count)
    pipeline.expire(_name(day), KEPT)


def read_refused(days: Sequence[date]) -> dict[date, RefusedOfDay]:
    """Return what was refused on each day. Raises redis.RedisError."""
    with closing(open_counts()) as client:
        pipeline = client.pipeline(transaction=False)
        for day in days:
            pipeline.hgetall(_name(day))
        found: list[dict[str, str]] = pipeline.execute()
    return {day: _of_day(counts) for day, counts in zip(days, found, strict=True)}


def _of_day(counts: dict[str, str]) -> RefusedOfDay:
    refused = RefusedOfDay()
    for status, count in counts.items():
        if int(status) >= OURS:
            refused.ours += int(count)
        else:
            refused.callers += int(count)
    return refused


def _name(day: date) -> str:
    return f"refused:{day:%Y-%m-%d}"
