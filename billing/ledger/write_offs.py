"""What requests cost beyond their charge, counted by API key and hour, and the alarm over it.

A hold may be too small: staff chose a ratio, a provider counts what it did not say, or a customer
has found a way to be charged below use. Each loss is small; those of one key within an hour tell.
"""

from collections.abc import Mapping
from datetime import datetime

from django.conf import settings

from billing.ledger.receipts import explain
from billing.models import InboxItem, KeyWriteOff, UsageRecord

KIND = "key_write_offs"

# API key and the beginning of an hour.
KeyHour = tuple[int, datetime]


def key_hour_of(record: UsageRecord) -> KeyHour:
    """Return where a record counts: its key, and the hour (UTC) in which its request came."""
    return record.api_key_id, record.started_at.replace(minute=0, second=0, microsecond=0)


def lost_credits(record: UsageRecord) -> int:
    """Return what a request cost and was not charged: written off, or not asked for at all.

    Usage beyond the hold is not asked for if the answer did not end whole. What a parked request
    cost is not known.
    """
    if record.source == UsageRecord.Source.PARKED or record.target_credits < record.held_credits:
        return record.write_off_credits
    return record.write_off_credits + max(0, explain(record).waived_credits)


def add_losses(losses: Mapping[KeyHour, int]) -> list[InboxItem]:
    """Add to what keys lost us. Their wallets are locked by the caller.

    Returns the findings to file: of each key whose hour has just reached WRITE_OFF_ALARM_CREDITS,
    unless an earlier one of it is still open.
    """
    losses = {place: lost for place, lost in losses.items() if lost}
    if not losses:
        return []
    found = KeyWriteOff.objects.filter(
        api_key__in={key for key, _ in losses}, hour__in={hour for _, hour in losses}
    )
    known = {(row.api_key_id, row.hour): row for row in found}
    alarming = []
    for (api_key_id, hour), lost in sorted(losses.items()):
        row = known.setdefault(
            (api_key_id, hour), KeyWriteOff(api_key_id=api_key_id, hour=hour, credits=0)
        )
        was_alarming = row.credits >= settings.WRITE_OFF_ALARM_CREDITS
        row.credits += lost
        row.save()
        if row.credits >= settings.WRITE_OFF_ALARM_CREDITS and not was_alarming:
            alarming.append(row)
    return [_finding(row) for row in alarming if not _is_open(row.api_key_id)]


def _is_open(api_key_id: int) -> bool:
    mine = InboxItem.objects.filter(kind=KIND, reference__startswith=f"{api_key_id}:")
    return mine.filter(resolved_at=None).exists()


def _finding(row: KeyWriteOff) -> InboxItem:
    key = row.api_key
    return InboxItem(
        kind=KIND,
        reference=f"{row.api_key_id}:{row.hour:%Y-%m-%dT%H}",
        summary=f"Requests of the API key {key} cost {row.credits:,} credits more within an hour"
        " than was charged. Look at its usage: a hold that is too small, or a customer who found"
        " a way to be charged below use.",
        detail={
            "api_key": row.api_key_id,
            "team": key.team_id,
            "user": key.created_by_id,
            "hour": row.hour.isoformat(),
            "lost_credits": row.credits,
        },
    )
