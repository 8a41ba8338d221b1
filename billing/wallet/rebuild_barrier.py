"""Keep a rebuild of the wallets from coming between a look at PostgreSQL and what follows from it.

A rebuild takes PostgreSQL's word for what is booked and makes Redis agree. Whoever reads a stream
and books it, or reads what is booked and tells Redis, must do both before a rebuild's snapshot or
both after it; in between, a debit would be counted twice or not at all. They hold the barrier
shared, the snapshot holds it alone. It goes with the database session, so the dead hold nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

# Two numbers of pg_advisory_lock: "tp" and the use.
BARRIER = (0x7470, 2)
REBUILDER = (0x7470, 1)


@contextmanager
def no_rebuild_meanwhile() -> Iterator[None]:
    """Open a transaction during which no rebuild takes its snapshot.

    This is the one place where a transaction waits for Redis: that is what it is for.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", BARRIER)
        yield


@contextmanager
def rebuild_snapshot() -> Iterator[None]:
    """Open a read-only snapshot of PostgreSQL in which nobody is half-way. Waits for those who are.

    What is committed after it is pushed with a newer version, or was decided after the rebuild.
    """
    with connection.cursor() as cursor:
        # Before the transaction: a snapshot is as old as its first statement, however long that
        # waits.
        cursor.execute("SELECT pg_advisory_lock(%s, %s)", BARRIER)
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    finally:
        _unlock(BARRIER)


@contextmanager
def only_rebuilder() -> Iterator[bool]:
    """Tell whether nobody else rebuilds, and keep it so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", REBUILDER)
        (is_mine,) = cursor.fetchone()
    try:
        yield is_mine
    finally:
        if is_mine:
            _unlock(REBUILDER)


def _unlock(lock: tuple[int, int]) -> None:
    # A session that was lost has given its locks back already, and must not hide why it was lost.
    if connection.is_usable():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", lock)
