"""Requests that were refused and left no receipt: how often, why and when, by key and day.

Counts, in Redis beside the cache, for a week: what a customer asks about is a day or two old, and
nothing depends on them. Web processes add theirs every few seconds.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum

import redis
from django.utils import timezone

from billing.rollups.refused import add_to_day, open_counts

DAYS = 7


class Ended(StrEnum):
    """Why a key is refused for good: the code by which its requests are counted.

    Its caller is told nothing of it. A key that nobody knows is nobody's, and is not counted.
    """

    REVOKED = "key_revoked"
    EXPIRED = "key_expired"
    ROTATED = "secret_rotated"
    LEFT = "maker_or_team_gone"


# What an upstream refused as the client's fault: its own codes are none of ours.
BY_MODEL = "refused_by_model"
WORDS: dict[str, str] = {
    BY_MODEL: "the model refused it",
    Ended.REVOKED: "the key is revoked",
    Ended.EXPIRED: "the key has expired",
    Ended.ROTATED: "an old secret, after its rotation",
    Ended.LEFT: "the key's maker or team is gone",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused: whose request, with which status, by which code."""

    wallet_id: int
    api_key_id: int
    status: int
    code: str


@dataclass(frozen=True, slots=True)
class Refused:
    """How often that happened in a week, and when last."""

    refusal: Refusal
    count: int
    last_at: datetime

    @property
    def words(self) -> str:
        """Return the reason, for staff."""
        return WORDS.get(self.refusal.code, self.refusal.code)


ENDED = frozenset(Ended)

# How often, and in seconds since 1970 when last.
Counts = Mapping[Refusal, tuple[int, int]]


def add_refusals(counts: Counts) -> None:
    """Add what a web process counted. Raises redis.RedisError; some may be added then."""
    with closing(open_counts()) as client:
        pipeline = client.pipeline(transaction=False)
        for refusal, (count, last_s) in counts.items():
            day = datetime.fromtimestamp(last_s, UTC).date()
            name = _name(refusal.wallet_id, day)
            field = f"{refusal.api_key_id}:{refusal.status}:{refusal.code}"
            pipeline.hincrby(name, f"n:{field}", count)
            pipeline.hset(name, f"t:{field}", last_s)
            pipeline.expire(name, timedelta(days=DAYS + 1))
            add_to_day(pipeline, day, status=refusal.status, count=count)
        pipeline.execute()


def find_refusals(wallet_id: int) -> list[Refused] | None:
    """Return what was refused to a wallet's keys in DAYS, the latest first; None without Redis."""
    today = timezone.now().astimezone(UTC).date()
    try:
        with closing(open_counts()) as client:
            pipeline = client.pipeline(transaction=False)
            for back in range(DAYS):
                pipeline.hgetall(_name(wallet_id, today - timedelta(days=back)))
            days: list[dict[str, str]] = pipeline.execute()
    except redis.RedisError:
        return None
    return sorted(_add_up(wallet_id, days), key=lambda each: each.last_at, reverse=True)


def find_knocks(wallet_id: int) -> dict[int, tuple[int, datetime]]:
    """Return how often keys that have ended were used in DAYS, and when last; by their ids."""
    found: dict[int, tuple[int, datetime]] = {}
    for each in find_refusals(wallet_id) or ():
        if each.refusal.code in ENDED:
            count, last_at = found.get(each.refusal.api_key_id, (0, each.last_at))
            known = count + each.count, max(last_at, each.last_at)
            found[each.refusal.api_key_id] = known
    return found


def _add_up(wallet_id: int, days: list[dict[str, str]]) -> list[Refused]:
    counts: dict[str, int] = {}
    latest: dict[str, int] = {}
    for day in days:
        for name, value in day.items():
            kind, _, field = name.partition(":")
            if kind == "n":
                counts[field] = counts.get(field, 0) + int(value)
            else:
                latest[field] = max(latest.get(field, 0), int(value))
    return [
        Refused(
            Refusal(wallet_id, int(key_id), int(status), code),
            count,
            datetime.fromtimestamp(latest.get(field, 0), UTC),
        )
        for field, count in counts.items()
        for key_id, status, code in [field.split(":", 2)]
    ]


def _name(wallet_id: int, day: date) -> str:
    return f"refusals:{day:%Y-%m-%d}:{wallet_id}"
