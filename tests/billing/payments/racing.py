"""Races that happen for certain: threads that start together, and meet at a statement."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from django.db import connection

Result = TypeVar("Result")
# How long the first at a meeting waits for the others, whom a lock may keep from coming.
WAIT_S = 0.3


def race(calls: Sequence[Callable[[], Result]], *, meet_at: str | None = None) -> list[Result]:
    """Run calls at once, each in a thread with an open connection. Returns what they return.

    With `meet_at`, each stops before its first statement that contains this text until all are
    there. Where a lock lets only one of them come that far, it goes on alone.
    """
    start = threading.Barrier(len(calls))
    meeting = threading.Barrier(len(calls))

    def run(call: Callable[[], Result]) -> Result:
        try:
            connection.ensure_connection()
            start.wait()
            with ExitStack() as stack:
                if meet_at is not None:
                    stack.enter_context(connection.execute_wrapper(_Stop(meet_at, meeting)))
                return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, call) for call in calls]]


class _Stop:
    """An execute wrapper that waits once, at the first statement with some text."""

    def __init__(self, text: str, meeting: threading.Barrier) -> None:
        self.text = text
        self.meeting = meeting
        self.is_over = False

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if self.text in sql and not self.is_over:
            self.is_over = True
            with suppress(threading.BrokenBarrierError):
                self.meeting.wait(WAIT_S)
        return execute(sql, params, many, context)
