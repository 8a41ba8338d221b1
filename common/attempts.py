"""Counts of attempts within an hour, to limit them. Kept in the cache: they may be lost."""

from contextlib import suppress

from django.core.cache import cache

WINDOW_S = 3_600


def count_attempt(key: str) -> int:
    """Count an attempt before it is made, so concurrent ones count too. Returns how many."""
    cache.add(key, 0, WINDOW_S)
    try:
        return int(cache.incr(key))
    except ValueError:
        # The hour ended between the two lines.
        return 1


def uncount_attempt(key: str) -> None:
    """Take back the count of an attempt."""
    with suppress(ValueError):
        cache.decr(key)
