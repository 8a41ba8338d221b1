"""What API keys did: what their requests were charged, by month, and when each was last used."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db.models import Q

from accounts.models import ApiKey
from billing.models import KeySpending
from billing.wallet.events import Event


def add_spending(spent: dict[tuple[int, int], int]) -> None:
    """Add to what keys spent, given by key and month. Their wallets are locked by the caller."""
    api_keys = {api_key_id for api_key_id, _ in spent}
    known = {
        (row.api_key_id, row.month): row for row in KeySpending.objects.filter(api_key__in=api_keys)
    }
    new = []
    for (api_key_id, month), amount in spent.items():
        row = known.get((api_key_id, month))
        if row is None:
            new.append(KeySpending(api_key_id=api_key_id, month=month, charged_credits=amount))
        else:
            row.charged_credits += amount
    KeySpending.objects.bulk_create(new)
    changed = [row for name, row in known.items() if name in spent]
    KeySpending.objects.bulk_update(changed, ["charged_credits"])


def note_last_use(events: Iterable[Event]) -> None:
    """Record the last use of keys, here so that no request waits for a write. Safe to repeat.

    Not in the transaction of `book`, which locks wallets: revoking locks the key, then the wallet.
    """
    last_use: dict[int, datetime] = {}
    for event in events:
        if event.facts is not None and event.settlement is not None:
            key, ended_at = event.facts.api_key_id, instant_of(event.settlement.ended_at_ms)
            last_use[key] = max(ended_at, last_use.get(key, ended_at))
    for api_key_id, at in sorted(last_use.items()):
        ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=at), pk=api_key_id).update(
            last_used_at=at
        )


def instant_of(milliseconds: int) -> datetime:
    """Return the instant so many milliseconds after 1970, UTC."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)
