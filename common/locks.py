"""Locks by name, for transactions that have no row in common to lock."""

import hashlib

from django.db import connection


def lock_names(*names: str) -> None:
    """Lock these names until the caller's transaction ends. Waits while one of them is locked."""
    numbers = sorted(
        int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True) for name in names
    )
    with connection.cursor() as cursor:
        for number in numbers:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
