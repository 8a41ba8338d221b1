"""Connections to PostgreSQL that are given up when their server falls silent.

libpq waits for a server that keeps its connection and does not answer as long as that lasts, and
the pool's own limit does not cover its check of a connection.
"""

from typing import Any

import psycopg
from psycopg import errors
from psycopg.abc import RV, PQGen
from psycopg.rows import TupleRow

from common.waits import WAITS

# With an empty statement the pool asks whether a connection still works.
CHECK = ""
CHECK_S = 1.5


class PatientConnection(psycopg.Connection[TupleRow]):
    """Waits CHECK_S for the pool's check, and as long as the process does for other statements."""

    _is_checked = False

    def execute(self, query: Any, params: Any = None, **how: Any) -> psycopg.Cursor[TupleRow]:
        """Execute a statement. Raises OperationalError if the server falls silent."""
        self._is_checked = query == CHECK
        try:
            return super().execute(query, params, **how)
        finally:
            self._is_checked = False

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the server, and close the connection if it does not answer in time."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, CHECK_S if self._is_checked else WAITS.statement_s)
        except errors._WaitTimeout as error:
            # Whatever the server still sends would be taken for the answer to the next statement.
            self.pgconn.finish()
            raise psycopg.OperationalError("PostgreSQL did not answer in time.") from error
