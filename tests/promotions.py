"""Promotions to test with."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from billing.models import Promotion


def make_promotion(**values: Any) -> Promotion:
    """Return a promotion of every pack that has run for half an hour and runs for as long."""
    now = timezone.now()
    return Promotion.objects.create(
        **{
            "name": "Autumn",
            "title": "A fifth more in autumn",
            "bonus_percent": 20,
            "starts_at": now - timedelta(minutes=30),
            "ends_at": now + timedelta(minutes=30),
            "is_shown": True,
            **values,
        }
    )
