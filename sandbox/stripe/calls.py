"""The log of API calls: what the product asked and what it was told. For people, on `/sandbox/`."""

from sandbox.stripe.store import JsonObject, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS api_calls (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    status INTEGER NOT NULL,
    idempotency_key TEXT,
    error TEXT
);
"""

_KEPT = 1_000


def record(
    store: Store,
    *,
    request_id: str,
    at: int,
    method: str,
    path: str,
    status: int,
    idempotency_key: str | None,
    error: str | None,
) -> None:
    """Add a call and forget those too old to matter."""
    cursor = store.connection.execute(
        "INSERT INTO api_calls (request_id, at, method, path, status, idempotency_key, error)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (request_id, at, method, path, status, idempotency_key, error),
    )
    store.connection.execute(
        "DELETE FROM api_calls WHERE id <= ?", ((cursor.lastrowid or 0) - _KEPT,)
    )


def recent(store: Store, limit: int) -> list[JsonObject]:
    rows = store.connection.execute("SELECT * FROM api_calls ORDER BY id DESC LIMIT ?", (limit,))
    return [dict(row) for row in rows]
