"""Idempotency keys: the first answer under a key is the only one, for as long as it is kept.

A failure of Stripe's own (500) is such an answer, too: the key won't get another.

A key is claimed before its request runs and answered in the transaction of the request's own
effects. A claim without an answer therefore means: nothing happened. Claims a dead process left
are dropped when the next one starts.
"""

import json
from dataclasses import dataclass

from sandbox.stripe.errors import IdempotencyInUse, IdempotencyMismatch, InvalidParameter
from sandbox.stripe.forms import Params
from sandbox.stripe.store import JsonObject, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS idempotency_keys (
    key TEXT PRIMARY KEY,
    method TEXT NOT NULL,
    path TEXT NOT NULL,
    params TEXT NOT NULL,
    created INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER,
    response TEXT
);
CREATE INDEX IF NOT EXISTS idempotency_keys_by_age ON idempotency_keys (created);
"""

# https://docs.stripe.com/api/idempotent_requests
_KEY_LENGTH = 255
_KEPT_S = 24 * 60 * 60


@dataclass(frozen=True)
class Answer:
    status: int
    body: JsonObject
    # The request that was answered first.
    request_id: str


def claim(
    store: Store, key: str, *, path: str, params: Params, request_id: str, now: int
) -> Answer | None:
    """Take a key for this request, or return the answer that another gave under it.

    Raises if the key was used for something else, or is being used at this moment.
    """
    if len(key) > _KEY_LENGTH:
        raise InvalidParameter(f"Idempotency keys can be up to {_KEY_LENGTH} characters long.")
    canonical = json.dumps(params, sort_keys=True)
    claimed = store.connection.execute(
        "INSERT INTO idempotency_keys (key, method, path, params, created, request_id)"
        " VALUES (?, 'POST', ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (key, path, canonical, now, request_id),
    )
    if claimed.rowcount == 1:
        return None
    row = store.connection.execute(
        "SELECT * FROM idempotency_keys WHERE key = ?", (key,)
    ).fetchone()
    if row["path"] != path:
        raise _mismatch(key, f"for the same endpoint they were first used for ('{row['path']}')")
    if row["params"] != canonical:
        raise _mismatch(key, "with the same parameters they were first used with")
    if row["status"] is None:
        raise IdempotencyInUse(
            f"There is currently another in-progress request using this Idempotent Key '{key}' "
            "(that probably means you submitted twice, and the other request is still going "
            "through).",
            code="idempotency_key_in_use",
        )
    return Answer(row["status"], json.loads(row["response"]), row["request_id"])


def answer(store: Store, key: str, *, status: int, body: JsonObject) -> None:
    """Keep the answer. Call it inside the transaction that has the request's effects."""
    store.connection.execute(
        "UPDATE idempotency_keys SET status = ?, response = ? WHERE key = ?",
        (status, json.dumps(body), key),
    )


def release(store: Store, key: str) -> None:
    """Give a claimed key back: its request was refused before it ran."""
    store.connection.execute(
        "DELETE FROM idempotency_keys WHERE key = ? AND status IS NULL", (key,)
    )


def drop_unanswered(store: Store) -> None:
    store.connection.execute("DELETE FROM idempotency_keys WHERE status IS NULL")


def drop_old(store: Store, *, now: int) -> None:
    store.connection.execute(
        "DELETE FROM idempotency_keys WHERE created < ? AND status IS NOT NULL", (now - _KEPT_S,)
    )


def _mismatch(key: str, rule: str) -> IdempotencyMismatch:
    return IdempotencyMismatch(
        f"Keys for idempotent requests can only be used {rule}. Try using a key other than "
        f"'{key}' if you meant to execute a different request."
    )
