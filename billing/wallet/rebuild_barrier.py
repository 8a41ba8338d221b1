"""Keep a rebuild of the wallets from coming between a look at PostgreSQL and what follows from it.

A rebuild takes PostgreSQL's word for what is booked and makes Redis agree. Whoever reads a stream
and books it, or reads what is booked and tells Redis, must do both before a rebuild's snapshot or
both after it; in between, a debit would be counted twice or not at all. They hold the barrier
shared, the snapshot is taken while it is held alone.

Every lock goes with a transaction, so the dead hold nothing. One that went with a session would
outlive its holder behind a pooler such as PgBouncer: what unlocks it may reach another session.
The rebuild's own locks are held by connections of their own, because its snapshot is a transaction
that begins later than they do, or ends before them.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from django.db import Error, OperationalError, connection, transaction
from django.db.backends.utils import CursorWrapper
from psycopg.errors import LockNotAvailable

from billing.exceptions import WalletRecovering

log = structlog.get_logger(__name__)

# Two numbers of pg_advisory_xact_lock: "tp" and the use.
BARRIER = (0x7470, 2)
REBUILDER = (0x7470, 1)
# How long a snapshot waits for those who are half-way, and they for it at most: whoever comes
# behind one that waits, waits too. They ask Redis, which may take them its time-out of 10 s.
PATIENCE_S = 15
# A rebuilder that says nothing for this long is gone, though its connection is not. If it is not
# gone either, it finds that another rebuild began.
LONGEST_REBUILD_S = 3_600


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
    Raises WalletRecovering if somebody is half-way for too long.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # Before anybody waits for us: we must not then wait for a connection that they have.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with _transaction_apart(silence_s=PATIENCE_S) as apart:
            _wait_alone(apart)
            # A snapshot is as old as its transaction's first query, and this is it. If the lock was
            # lost until now, the commit that gives it back fails.
            cursor.execute("SELECT 1")
        yield


@contextmanager
def only_rebuilder() -> Iterator[bool]:
    """Tell whether nobody else rebuilds, and keep it so.

    If the lock is lost meanwhile, Redis refuses what the older of two rebuilds writes.
    """
    with _transaction_apart(silence_s=LONGEST_REBUILD_S, must_last=False) as apart:
        apart.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", REBUILDER)
        (is_mine,) = apart.fetchone()
        yield is_mine


def _wait_alone(apart: CursorWrapper) -> None:
    apart.execute("SELECT set_config('lock_timeout', %s, true)", [f"{PATIENCE_S}s"])
    try:
        apart.execute("SELECT pg_advisory_xact_lock(%s, %s)", BARRIER)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        log.error("rebuild_blocked", seconds=PATIENCE_S, by_postgresql_processes=_holders())
        raise WalletRecovering(f"Somebody is half-way for {PATIENCE_S} s.") from error


def _holders() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND (classid, objid) = (%s, %s)"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            BARRIER,
        )
        return [pid for (pid,) in cursor.fetchall()]


@contextmanager
def _transaction_apart(*, silence_s: int, must_last: bool = True) -> Iterator[CursorWrapper]:
    """Open a transaction beside the caller's, which PostgreSQL ends if it says nothing for so long.

    `must_last` raises an error if it has ended before the caller did.
    """
    apart = connection.copy()
    # A pool could be empty because all wait for what we are about to do.
    apart.settings_dict["OPTIONS"].pop("pool", None)
    try:
        apart.set_autocommit(False)
        with apart.cursor() as cursor:
            limit = ["idle_in_transaction_session_timeout", f"{silence_s}s"]
            cursor.execute("SELECT set_config(%s, %s, true)", limit)
            yield cursor
        with suppress(*(() if must_last else (Error,))):
            apart.commit()
    finally:
        # What was not committed is given back at once, not when PostgreSQL finds nobody there.
        with suppress(Error):
            apart.rollback()
        apart.close()
