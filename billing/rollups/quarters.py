"""Quarters of an hour, the time that one row of a roll-up is about."""

from datetime import UTC, datetime, timedelta

QUARTER = timedelta(minutes=15)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def quarter_of(at: datetime) -> datetime:
    """Return when the quarter of an hour began that an instant is in."""
    return at - (at - EPOCH) % QUARTER


def next_quarter(at: datetime) -> datetime:
    """Return `at` if a quarter of an hour begins then, else when the next one does."""
    return quarter_of(at + QUARTER - timedelta(microseconds=1))
