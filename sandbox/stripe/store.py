"""The object store: every Stripe object as one row of JSON in one SQLite file.

All work happens on the event loop's thread and no transaction spans an `await`, so transactions
are serial by construction. Modules with tables of their own pass their schema to `open_store`.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

JsonObject = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    -- What the emulator must remember and the API does not show.
    private TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS objects_by_kind ON objects (kind, seq);
-- Serve `charges.list(payment_intent=…)` and its like.
CREATE INDEX IF NOT EXISTS objects_by_intent
    ON objects (kind, json_extract(body, '$.payment_intent'));
CREATE INDEX IF NOT EXISTS objects_by_customer ON objects (kind, json_extract(body, '$.customer'));
CREATE INDEX IF NOT EXISTS objects_by_charge ON objects (kind, json_extract(body, '$.charge'));
CREATE INDEX IF NOT EXISTS objects_by_status ON objects (kind, json_extract(body, '$.status'));
CREATE INDEX IF NOT EXISTS objects_by_key ON objects (kind, json_extract(body, '$.lookup_key'));
CREATE INDEX IF NOT EXISTS objects_by_created ON objects (kind, json_extract(body, '$.created'));
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass
class Record:
    """One stored object: what the API shows and what only the emulator knows."""

    body: JsonObject
    private: JsonObject = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.body["id"])

    @property
    def kind(self) -> str:
        return str(self.body["object"])


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A filter on one JSON path, such as ("$.created", ">=", 1700000000).

    GLOB takes several patterns, of which one must fit.
    """

    path: str
    operator: Literal["=", "<", "<=", ">", ">=", "GLOB"] = "="
    value: str | int | bool | tuple[str, ...]

    @property
    def values(self) -> tuple[str | int, ...]:
        return self.value if isinstance(self.value, tuple) else (self.value,)

    def sql(self) -> str:
        # The path is one of ours, never a client's, and an index needs it in the text.
        one = f"json_extract(body, '{self.path}') {self.operator} ?"
        return "(" + " OR ".join(one for _ in self.values) + ")"


class Store:
    """Objects and settings; whoever opens it closes it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything the block wrote, or nothing of it."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def insert(self, body: JsonObject, private: JsonObject | None = None) -> Record:
        record = Record(body, private or {})
        self.connection.execute(
            "INSERT INTO objects (id, kind, body, private) VALUES (?, ?, ?, ?)",
            (record.id, record.kind, json.dumps(record.body), json.dumps(record.private)),
        )
        return record

    def save(self, record: Record) -> None:
        self.connection.execute(
            "UPDATE objects SET body = ?, private = ? WHERE id = ?",
            (json.dumps(record.body), json.dumps(record.private), record.id),
        )

    def find(self, object_id: str, kind: str | None = None) -> Record | None:
        row = self.connection.execute(
            "SELECT kind, body, private FROM objects WHERE id = ?", (object_id,)
        ).fetchone()
        if row is None or (kind and row["kind"] != kind):
            return None
        return _record(row)

    def position(self, object_id: str, kind: str) -> int | None:
        """Return where an object stands in creation order."""
        row = self.connection.execute(
            "SELECT seq FROM objects WHERE id = ? AND kind = ?", (object_id, kind)
        ).fetchone()
        return None if row is None else int(row["seq"])

    def select(
        self,
        kind: str,
        conditions: Sequence[Condition] = (),
        *,
        limit: int,
        after: int | None = None,
        before: int | None = None,
    ) -> list[Record]:
        """Return the newest objects first; `after` and `before` are positions in that order."""
        clauses = ["kind = ?", *(condition.sql() for condition in conditions)]
        values: list[str | int] = [kind, *(v for condition in conditions for v in condition.values)]
        for bound, operator in ((after, "<"), (before, ">")):
            if bound is not None:
                clauses.append(f"seq {operator} ?")
                values.append(bound)
        order = "ASC" if before is not None else "DESC"
        rows = self.connection.execute(
            # Clauses are made of constants above; every value is bound.
            f"SELECT body, private FROM objects WHERE {' AND '.join(clauses)}"  # noqa: S608
            f" ORDER BY seq {order} LIMIT ?",
            (*values, limit),
        ).fetchall()
        records = [_record(row) for row in rows]
        return records[::-1] if before is not None else records

    def counts(self) -> Mapping[str, int]:
        rows = self.connection.execute(
            "SELECT kind, count(*) AS n FROM objects GROUP BY kind ORDER BY kind"
        )
        return {row["kind"]: row["n"] for row in rows}

    def setting(self, name: str, default: str) -> str:
        row = self.connection.execute(
            "SELECT value FROM settings WHERE name = ?", (name,)
        ).fetchone()
        return default if row is None else str(row["value"])

    def set_setting(self, name: str, value: str) -> None:
        self.connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))


def open_store(data_dir: Path, schemas: Sequence[str] = ()) -> Store:
    """Open or create `stripe.sqlite3` in a folder."""
    data_dir.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(data_dir / "stripe.sqlite3", isolation_level=None, timeout=5)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    for schema in (_SCHEMA, *schemas):
        connection.executescript(schema)
    return Store(connection)


def _record(row: sqlite3.Row) -> Record:
    return Record(json.loads(row["body"]), json.loads(row["private"]))
