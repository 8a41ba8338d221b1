"""Who has an advisory lock of PostgreSQL, and who waits for one."""

import time

from django.db import connection

# Other tests run in other databases of the same server.
COUNT = """
SELECT count(*) FROM pg_locks
WHERE locktype = 'advisory' AND granted = %s
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
END = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted AND (classid, objid) = (%s, %s)
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def count_locks(*, granted: bool = True) -> int:
    """Count those that are held, or waited for."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [granted])
        (found,) = cursor.fetchone()
    return int(found)


def end_holders(lock: tuple[int, int]) -> None:
    """End the sessions that hold a lock, as if their processes had died."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute(END, lock)
            if not cursor.fetchall():
                return
        time.sleep(0.01)
    raise TimeoutError("The lock is still held.")
