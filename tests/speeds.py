"""Roll-ups of whole answers, for tests of what is published of models' speed."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from billing.models import SiteRollUp
from billing.rollups.histogram import BUCKETS, bucket_of
from billing.token_classes import COUNTS


def counts(ms: int, requests: int) -> list[int]:
    return [requests if at == bucket_of(ms) else 0 for at in range(BUCKETS)]


def add_speed(requests: int, *, ms: int = 1_000, age_days: int = 0, **fields: Any) -> None:
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
