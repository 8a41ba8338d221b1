"""Locks by name, for those who have no row in common that they could lock."""

import hashlib

from django.db import connection


def lock_names(*names: str) -> None:
    """Lock these names until the caller's transaction ends; wait for whoever holds one of them."""
    numbers = sorted(
        int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True) for name in names
    )
    with connection.cursor() as cursor:
        for number in numbers:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [number])
