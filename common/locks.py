"""Locks by name, for transactions that have no row in common to lock."""

import hashlib

from django.db import connection


def lock_names(*names: str) -> None:
    """Lock these names until the caller's transaction ends. Waits while one of them is locked."""
    with connection.cursor() as cursor:
        for number in sorted(map(_number_of, names)):
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])


def try_lock_name(name: str) -> bool:
    """Lock a name until the caller's transaction ends. False if another has locked it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_number_of(name)])
        (is_mine,) = cursor.fetchone()
    return bool(is_mine)


def _number_of(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
