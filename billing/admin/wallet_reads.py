"""The sums and lists on a wallet's page at the desk. Reads only."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet, Sum

from accounts.models import ApiKey
from billing.ledger.credits import ORDER_OF_USE
from billing.models import KeySpending, LedgerEntry, Lot, UsageRecord, Wallet
from billing.rollups.reads import sum_by_model

RECENT = 10
SPENDING_DAYS = 30


def sum_by_kind(wallet: Wallet) -> Sequence[Mapping[str, Any]]:
    """Return every kind of entry with its sum; the sums add up to posted.

    What keys spent is the sum of the entries of usage, of which there are too many to add up.
    """
    others = wallet.entries.exclude(kind=LedgerEntry.Kind.USAGE).order_by("kind")
    found = list(others.values("kind").annotate(amount_credits=Sum("amount_credits")))
    spent = KeySpending.objects.filter(api_key__team=wallet.team_id).aggregate(
        credits=Sum("charged_credits", default=0)
    )["credits"]
    if spent:
        found.append({"kind": LedgerEntry.Kind.USAGE.value, "amount_credits": -spent})
    return sorted(found, key=lambda total: total["kind"])


def recent_entries(wallet: Wallet) -> QuerySet[LedgerEntry]:
    return wallet.entries.select_related("actor")[:RECENT]


def open_lots(wallet: Wallet) -> QuerySet[Lot]:
    """Return the lots with something left, the next to be spent first."""
    return wallet.lots.filter(remaining_credits__gt=0).order_by(*ORDER_OF_USE)[:RECENT]


def recent_usage(wallet: Wallet) -> QuerySet[UsageRecord]:
    return wallet.usage_records.all()[:RECENT]


def spending_by_model(wallet: Wallet) -> Sequence[Mapping[str, Any]]:
    """Return what each key spent on each model in SPENDING_DAYS, the most first."""
    used = sum_by_model(wallet, days=SPENDING_DAYS)
    most = sorted(used.items(), key=lambda item: -item[1].charged_credits)[:RECENT]
    names = ApiKey.objects.in_bulk({key_id for (key_id, _), _ in most})
    return [
        {
            "model_name": model_name,
            "key_id": key_id,
            "key_name": names[key_id].name,
            "requests": each.requests,
            "prompt": each.prompt_tokens,
            "completion": each.completion_tokens,
            "charged": each.charged_credits,
        }
        for (key_id, model_name), each in most
    ]
