"""What is published of a model: how fast it answered, over all customers.

Few requests would tell of single customers and mean little, so they are not told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import F, Sum
from django.utils import timezone

from billing.models import SiteRollUp, UsageRecord
from billing.rollups.histogram import BUCKETS, percentile_ms

DAYS = 7
LEAST_REQUESTS = 50
# Seconds for which all pages show the same.
KEPT_S = 60
_KEY = "published-speeds"


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a model's whole answers were in the last days. Medians, in milliseconds."""

    requests: int
    first_byte_ms: int | None
    total_ms: int | None
    # Completion tokens per second of the whole answer, its first byte included.
    tokens_per_s: int | None


def read_speeds() -> dict[str, Speed]:
    """Return the speed of each model that was asked often enough, at most a minute old."""
    found: dict[str, Speed] | None = cache.get(_KEY)
    if found is None:
        found = _read()
        cache.set(_KEY, found, KEPT_S)
    return found


def _read() -> dict[str, Speed]:
    buckets = {
        f"{histogram}_{at}": Sum(F(f"{histogram}__{at}"))
        for histogram in ("durations", "first_bytes")
        for at in range(BUCKETS)
    }
    rows: Iterable[Any] = (
        SiteRollUp.objects.filter(
            starts_at__gte=timezone.now() - timedelta(days=DAYS),
            outcome=UsageRecord.Outcome.COMPLETED,
        )
        .values("model_name")
        .annotate(
            asked=Sum("requests"),
            written=Sum("completion_tokens"),
            took_ms=Sum("duration_ms"),
            **buckets,
        )
        .order_by()
    )
    return {
        row["model_name"]: Speed(
            requests=row["asked"],
            first_byte_ms=percentile_ms([row[f"first_bytes_{at}"] for at in range(BUCKETS)], 50),
            total_ms=percentile_ms([row[f"durations_{at}"] for at in range(BUCKETS)], 50),
            tokens_per_s=round(1_000 * row["written"] / row["took_ms"])
            if row["written"] and row["took_ms"]
            else None,
        )
        for row in rows
        if row["asked"] >= LEAST_REQUESTS
    }
