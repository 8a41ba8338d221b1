"""The sums and lists on a wallet's page at the desk. Reads only."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import Count, F, QuerySet, Sum
from django.utils import timezone

from billing.ledger.credits import ORDER_OF_USE
from billing.models import LedgerEntry, Lot, UsageRecord, Wallet

RECENT = 10
SPENDING_DAYS = 30


def sum_by_kind(wallet: Wallet) -> Sequence[Mapping[str, Any]]:
    """Return every kind of entry with its sum; the sums add up to posted."""
    return list(
        wallet.entries.order_by("kind")
        .values("kind")
        .annotate(entries=Count("pk"), amount_credits=Sum("amount_credits"))
    )


def recent_entries(wallet: Wallet) -> QuerySet[LedgerEntry]:
    return wallet.entries.select_related("actor")[:RECENT]


def open_lots(wallet: Wallet) -> QuerySet[Lot]:
    """Return the lots with something left, the next to be spent first."""
    return wallet.lots.filter(remaining_credits__gt=0).order_by(*ORDER_OF_USE)[:RECENT]


def recent_usage(wallet: Wallet) -> QuerySet[UsageRecord]:
    return wallet.usage_records.all()[:RECENT]


def spending_by_model(wallet: Wallet) -> Sequence[Mapping[str, Any]]:
    """Return what each key spent on each model in SPENDING_DAYS, the most first."""
    since = timezone.now() - timedelta(days=SPENDING_DAYS)
    return list(
        wallet.usage_records.filter(ended_at__gte=since)
        .values("model_name", key_id=F("api_key_id"), key_name=F("api_key__name"))
        .annotate(
            requests=Count("pk"),
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
            charged=Sum("charged_credits"),
        )
        .order_by("-charged")[:RECENT]
    )
