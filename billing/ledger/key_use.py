"""What API keys did: what their requests were charged, by month, and when each was last used."""

from collections.abc import Iterable
from datetime import UTC, datetime

from django.db import connection
from django.db.models import Q

from accounts.models import ApiKey
from billing.models import KeySpending
from billing.wallet.events import Event
from common.many_rows import add_amounts

NOTE_UNLOCKED = """
WITH free AS (
    SELECT k.id, u.at FROM accounts_apikey k
    JOIN unnest(%s::bigint[], %s::timestamptz[]) AS u(id, at) ON k.id = u.id
    FOR NO KEY UPDATE OF k SKIP LOCKED
)
UPDATE accounts_apikey k SET last_used_at = GREATEST(k.last_used_at, free.at)
FROM free WHERE k.id = free.id RETURNING k.id
"""


def add_spending(spent: dict[tuple[int, int], int]) -> None:
    """Add to what keys spent, given by key and month. Their wallets are locked by the caller."""
    add_amounts(KeySpending, ["api_key", "month"], spent, to="charged_credits")


def note_last_use(events: Iterable[Event]) -> None:
    """Record the last use of keys, here so that no request waits for a write. Safe to repeat.

    Not in the transaction of `book`, which locks wallets: revoking locks the key, then the wallet.
    """
    last_use: dict[int, datetime] = {}
    for event in events:
        if event.facts is not None and event.settlement is not None:
            key, ended_at = event.facts.api_key_id, instant_of(event.settlement.ended_at_ms)
            last_use[key] = max(ended_at, last_use.get(key, ended_at))
    for api_key_id, at in sorted(_note_unlocked(last_use).items()):
        ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=at), pk=api_key_id).update(
            last_used_at=at
        )


def _note_unlocked(last_use: dict[int, datetime]) -> dict[int, datetime]:
    """Note the last use of the keys that nobody has locked, and return that of the others.

    One statement that waited for several rows could be in the way of one that locks two keys.
    """
    if not last_use:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(NOTE_UNLOCKED, [list(last_use), list(last_use.values())])
        noted = {api_key_id for (api_key_id,) in cursor.fetchall()}
    return {api_key_id: at for api_key_id, at in last_use.items() if api_key_id not in noted}


def instant_of(milliseconds: int) -> datetime:
    """Return the instant so many milliseconds after 1970, UTC."""
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)
