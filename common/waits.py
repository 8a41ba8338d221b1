"""How long a process waits for a server of ours that does not answer.

A worker's sweep or a command may take its time. Somebody waits for a web process, so it calls
`wait_for_pages` when it starts: a page asks Redis in two places at most, its wallet and the cache.
"""

from dataclasses import dataclass

PAGE_REDIS_S = 1.0
# PostgreSQL ends what takes too long by itself (DATABASE_STATEMENT_TIMEOUT_S); this is for one that
# has fallen silent while it was at work.
PAGE_STATEMENT_S = 60.0


@dataclass(slots=True)
class Waits:
    """The limits of this process, in seconds; None is no limit."""

    redis_s: float = 10.0
    statement_s: float | None = None


WAITS = Waits()


def wait_for_pages() -> None:
    """Wait no longer than the reader of a page would. Called before the first connection."""
    WAITS.redis_s = PAGE_REDIS_S
    WAITS.statement_s = PAGE_STATEMENT_S
