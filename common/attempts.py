"""Counts of what may be tried so often within an hour. In the cache: losing them costs nothing."""

from contextlib import suppress

from django.core.cache import cache

WINDOW_S = 3_600


def count_attempt(key: str) -> int:
    """Count an attempt before it is made, so that attempts at once count too. Returns how many."""
    cache.add(key, 0, WINDOW_S)
    try:
        return int(cache.incr(key))
    except ValueError:
        # The hour ended between the two lines.
        return 1


def uncount_attempt(key: str) -> None:
    """Take an attempt back that is not to count."""
    with suppress(ValueError):
        cache.decr(key)
