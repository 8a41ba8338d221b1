"""Keep a wallet rebuild from coming between a read of PostgreSQL and the write that depends on it.

A rebuild reads from PostgreSQL what is booked and makes Redis agree. Code that reads a stream and
books it, or reads what is booked and tells Redis, must do both before a rebuild's snapshot or both
after it: with the snapshot in between, a debit would be counted twice or not at all. Such code
holds the barrier shared; the rebuild holds it exclusively while it takes its snapshot.

Every lock belongs to a transaction, so a dead process holds none. A lock of a session would
outlive its holder behind a pooler such as PgBouncer: the unlocking may reach another session.
The rebuild's own locks have separate connections, because its snapshot is a transaction that
begins later than they do, or ends before them.
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
# How long a snapshot waits for the shared holders, and how long a new shared holder waits at most
# behind it. A shared holder asks Redis, which may take its time-out of 10 s.
PATIENCE_S = 15
# A rebuilder that is silent for this long is taken for dead, though its connection is open. If it
# is alive after all, it finds that another rebuild began.
LONGEST_REBUILD_S = 3_600


@contextmanager
def no_rebuild_meanwhile() -> Iterator[None]:
    """Open a transaction during which no rebuild takes its snapshot.

    This is the one place where a transaction waits for Redis, on purpose.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", BARRIER)
        yield


@contextmanager
def rebuild_snapshot() -> Iterator[None]:
    """Open a read-only snapshot of PostgreSQL, once no shared holder of the barrier is left.

    What is committed after it is pushed with a newer version, or was decided after the rebuild.
    Raises WalletRecovering if a shared holder takes longer than PATIENCE_S.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        # First, because once others wait for us we must not wait for a connection that they have.
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with _transaction_apart(silence_s=PATIENCE_S) as apart:
            _wait_alone(apart)
            # The transaction's first query takes its snapshot, and this is it. If the lock was lost
            # before, the commit that releases it fails.
            cursor.execute("SELECT 1")
        yield


@contextmanager
def only_rebuilder() -> Iterator[bool]:
    """Yield True if no other process rebuilds, and keep others from it meanwhile.

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
    """Open a transaction beside the caller's, which PostgreSQL ends if it is idle for `silence_s`.

    With `must_last`, an error is raised if it has ended before the block did.
    """
    apart = connection.copy()
    # Not from the pool, which those who wait for us may have emptied.
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
        # Releases the locks at once, not when PostgreSQL notices that the client is gone.
        with suppress(Error):
            apart.rollback()
        apart.close()
