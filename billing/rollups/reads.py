"""What a wallet used, from its roll-ups and the few receipts that are not rolled up yet.

Each read is one statement, so every booked receipt counts in exactly one of the two.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, Subquery, Sum
from django.db.models.functions import Coalesce, TruncDate
from django.utils import timezone

from billing.models import RollUpMark, UsageRecord, UsageRollUp, Wallet

SUMS = ("charged_credits", "prompt_tokens", "completion_tokens")


@dataclass(slots=True)
class Used:
    """What some requests add up to."""

    requests: int = 0
    charged_credits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, requests: int, charged: int, prompt: int, completion: int) -> None:
        self.requests += requests
        self.charged_credits += charged
        self.prompt_tokens += prompt
        self.completion_tokens += completion


def sum_by_day(wallet: Wallet, *, since: date) -> dict[date, Used]:
    """Return what was used on each day (UTC) that has requests."""
    start = datetime.combine(since, datetime.min.time(), timezone.get_default_timezone())
    return {day: used for (day,), used in _sum(wallet, start, "day").items()}


def sum_by_model(wallet: Wallet, *, days: int) -> dict[tuple[int, str], Used]:
    """Return what was used in the last days, by API key and model."""
    return _sum(wallet, timezone.now() - timedelta(days=days), "api_key_id", "model_name")


def _sum(wallet: Wallet, since: datetime, *keys: str) -> dict[tuple[Any, ...], Used]:
    found: dict[tuple[Any, ...], Used] = {}
    for row in _rows(wallet, since, keys):
        found.setdefault(row[: len(keys)], Used()).add(*row[len(keys) :])
    return {key: used for key, used in found.items() if used.requests}


def _rows(wallet: Wallet, since: datetime, keys: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    mark = RollUpMark.objects.filter(wallet=wallet).values("record_id")
    rolled_up = (
        UsageRollUp.objects.filter(wallet=wallet, starts_at__gte=since)
        .annotate(day=TruncDate("starts_at"))
        .values_list(*keys)
        .annotate(count=Sum("requests"), **{f"{name}_sum": Sum(name) for name in SUMS})
    )
    # A condition on the time would lead PostgreSQL to an index that finds far more than the few.
    is_new = Q(ended_at__gte=since)
    fresh = (
        UsageRecord.objects.filter(wallet=wallet, pk__gt=Coalesce(Subquery(mark), 0))
        .annotate(day=TruncDate("ended_at"))
        .order_by()
        .values_list(*keys)
        .annotate(
            count=Count("pk", filter=is_new),
            **{f"{name}_sum": Sum(name, filter=is_new, default=0) for name in SUMS},
        )
    )
    return rolled_up.union(fresh, all=True).iterator()
