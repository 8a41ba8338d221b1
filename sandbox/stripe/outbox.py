"""The outbox: which event still has to reach the webhook endpoint, and every attempt so far.

A delivery is written in the transaction that wrote its event, so none is lost and none is made
up. `pending` is attempted until the endpoint answers 2xx (`delivered`) or the schedule ends
(`failed`). `dropped` was written while webhooks were off; only a resend delivers it.
"""

import asyncio
import sqlite3
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from sandbox.stripe.store import JsonObject, Store

SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    event_id TEXT NOT NULL UNIQUE,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'dropped')),
    attempts INTEGER NOT NULL DEFAULT 0,
    -- Counts resends: an attempt under way when one is asked for does not answer it.
    round INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS deliveries_due ON deliveries (status, next_attempt_at);
CREATE TABLE IF NOT EXISTS attempts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    delivery_id INTEGER NOT NULL REFERENCES deliveries (id),
    at REAL NOT NULL,
    status_code INTEGER,
    response TEXT NOT NULL,
    duration_ms INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_of ON attempts (delivery_id);
"""

# How new events are delivered: at once, not at all, each twice at a time, newest first, some time
# later, or all but every so-manieth.
Mode = Literal["normal", "off", "duplicate", "reorder", "delay", "drop"]
MODES: tuple[str, ...] = get_args(Mode)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One POST to the endpoint: its status, or None and the reason it got no answer."""

    status_code: int | None
    response: str
    duration_ms: int

    @property
    def is_success(self) -> bool:
        return self.status_code is not None and 200 <= self.status_code < 300


# Between two webhooks that must not overtake each other.
_GAP_S = 0.01
_REORDERED = 50


class Outbox:
    def __init__(self, store: Store, retry_delays_s: tuple[float, ...]) -> None:
        self.store = store
        # The window that `reorder` collects events in, and how many it has.
        self.window_ends_at = 0.0
        self.in_window = 0
        # Events since `drop` was switched on.
        self.since_drop = 0
        self.retry_delays_s = retry_delays_s
        # Set whenever something may have become due; the sender waits for it.
        self.wake = asyncio.Event()

    @property
    def mode(self) -> str:
        return self.store.setting("webhook_mode", "normal")

    @property
    def seconds(self) -> float:
        """Return how long `delay` waits and `reorder` collects."""
        return float(self.store.setting("webhook_seconds", "1"))

    @property
    def every(self) -> int:
        """Return which event `drop` drops: every second, third, …"""
        return int(self.store.setting("webhook_every", "2"))

    def set_mode(self, mode: Mode, *, seconds: float, every: int) -> None:
        """Choose how new events are delivered. Off also drops what is still waiting."""
        self.store.set_setting("webhook_mode", mode)
        self.store.set_setting("webhook_seconds", str(seconds))
        self.store.set_setting("webhook_every", str(every))
        self.since_drop = 0
        if mode == "off":
            self.store.connection.execute(
                "UPDATE deliveries SET status = 'dropped' WHERE status = 'pending'"
            )

    def add(self, event_id: str) -> None:
        status = "dropped" if self._is_dropped() else "pending"
        self.store.connection.execute(
            "INSERT INTO deliveries (event_id, status, next_attempt_at) VALUES (?, ?, ?)",
            (event_id, status, time.time() + self._wait_s()),
        )
        self.wake.set()

    def _is_dropped(self) -> bool:
        if self.mode == "drop":
            self.since_drop += 1
            return self.since_drop % self.every == 0
        return self.mode == "off"

    def _wait_s(self) -> float:
        if self.mode == "delay":
            return self.seconds
        return self._reordered_s() if self.mode == "reorder" else 0.0

    def _reordered_s(self) -> float:
        """Return the wait of the next event in a window: each goes out before the one before."""
        now = time.time()
        if now >= self.window_ends_at:
            self.window_ends_at, self.in_window = now + self.seconds, 0
        self.in_window += 1
        places = max(0, _REORDERED - self.in_window)
        return self.window_ends_at - now + places * _GAP_S

    def resend(self, event_id: str) -> bool:
        """Deliver an event again, whatever became of it. False if there is no such event."""
        cursor = self.store.connection.execute(
            "UPDATE deliveries SET status = 'pending', attempts = 0, round = round + 1,"
            " next_attempt_at = ? WHERE event_id = ?",
            (time.time(), event_id),
        )
        self.wake.set()
        return cursor.rowcount == 1

    def due(self, *, limit: int, busy: Collection[int]) -> list[sqlite3.Row]:
        """Return deliveries to attempt now, oldest first, without those being attempted."""
        rows = self.store.connection.execute(
            "SELECT id, event_id, round FROM deliveries"
            " WHERE status = 'pending' AND next_attempt_at <= ?"
            " ORDER BY next_attempt_at, id LIMIT ?",
            (time.time(), limit + len(busy)),
        ).fetchall()
        return [row for row in rows if row["id"] not in busy][:limit]

    def next_due_in_s(self, *, busy: Collection[int]) -> float | None:
        """Return the seconds until another delivery is due; None if there is none."""
        rows = self.store.connection.execute(
            "SELECT id, next_attempt_at FROM deliveries WHERE status = 'pending'"
            " ORDER BY next_attempt_at LIMIT ?",
            (len(busy) + 1,),
        ).fetchall()
        waits_s = [row["next_attempt_at"] - time.time() for row in rows if row["id"] not in busy]
        return max(0.0, waits_s[0]) if waits_s else None

    def record(self, delivery_id: int, round_: int, attempt: Attempt) -> None:
        """Keep an attempt and decide what becomes of its delivery in that round."""
        self.store.connection.execute(
            "INSERT INTO attempts (delivery_id, at, status_code, response, duration_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (delivery_id, time.time(), attempt.status_code, attempt.response, attempt.duration_ms),
        )
        row = self.store.connection.execute(
            "SELECT attempts, round FROM deliveries WHERE id = ?", (delivery_id,)
        ).fetchone()
        if row["round"] != round_:
            return
        status, wait_s = self._verdict(attempt, row["attempts"])
        # A delivery dropped while this attempt was under way stays dropped unless it arrived.
        self.store.connection.execute(
            "UPDATE deliveries SET attempts = attempts + 1, status = ?, next_attempt_at = ?"
            " WHERE id = ? AND (status = 'pending' OR ? = 'delivered')",
            (status, time.time() + wait_s, delivery_id, status),
        )

    def _verdict(self, attempt: Attempt, failed_before: int) -> tuple[str, float]:
        """Return a delivery's next status and the seconds until its next attempt."""
        if attempt.is_success:
            return "delivered", 0.0
        if failed_before >= len(self.retry_delays_s):
            return "failed", 0.0
        return "pending", self.retry_delays_s[failed_before]

    def pending_count(self, event_id: str) -> int:
        """Return an event's `pending_webhooks`: how many endpoints have not taken it yet."""
        row = self.store.connection.execute(
            "SELECT count(*) AS n FROM deliveries WHERE event_id = ? AND status != 'delivered'",
            (event_id,),
        ).fetchone()
        return int(row["n"])

    def counts(self) -> dict[str, int]:
        """Return how many deliveries there are of each status."""
        rows = self.store.connection.execute(
            "SELECT status, count(*) AS n FROM deliveries GROUP BY status"
        )
        return {row["status"]: row["n"] for row in rows}

    def recent(self, limit: int) -> list[JsonObject]:
        """Return the newest deliveries with all their attempts."""
        deliveries = self.store.connection.execute(
            "SELECT deliveries.*, json_extract(objects.body, '$.type') AS type FROM deliveries"
            " JOIN objects ON objects.id = event_id ORDER BY deliveries.id DESC LIMIT ?",
            (limit,),
        )
        return [dict(row) | {"log": self._attempts(row["id"])} for row in deliveries.fetchall()]

    def _attempts(self, delivery_id: int) -> list[JsonObject]:
        rows = self.store.connection.execute(
            "SELECT at, status_code, response, duration_ms FROM attempts WHERE delivery_id = ?"
            " ORDER BY id",
            (delivery_id,),
        )
        return [dict(row) for row in rows]
