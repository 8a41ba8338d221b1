"""Races that happen for certain: threads that start together, and meet at a statement."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
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


@contextmanager
def before_statement(text: str, act: Callable[[], object]) -> Iterator[None]:
    """Do something once, right before this thread's first statement that contains a text."""
    is_over = False

    def interrupt(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        nonlocal is_over
        if text in sql and not is_over:
            is_over = True
            act()
        return execute(sql, *rest)

    with connection.execute_wrapper(interrupt):
        yield


@contextmanager
def in_background(call: Callable[[], object]) -> Iterator[Callable[[], None]]:
    """Give a function that starts a call in a thread of its own; leaving waits for its end.

    Starting waits a moment too: for the end of the call, or for the lock that it runs into.
    """

    def run() -> None:
        try:
            call()
        finally:
            connection.close()

    futures: list[Future[None]] = []
    with ThreadPoolExecutor(1) as pool:

        def start() -> None:
            futures.append(pool.submit(run))
            wait(futures, timeout=WAIT_S)

        yield start
    for future in futures:
        future.result()


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
