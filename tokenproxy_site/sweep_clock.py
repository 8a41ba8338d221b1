"""A worker's own clocks for the sweeps that are due every few seconds.

Nobody has to ask for them: each worker knows when its next one is due. So none waits behind the
messages that pile up at the broker while no worker runs, none behind sweeps that take an hour, and
none stops while the broker is away. Several workers each run all of them, which every sweep allows.

What books has a clock and threads that nothing takes which waits for Stripe, for a mail server or
for somebody else's program.
"""

import heapq
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog
from celery import Celery, bootsteps
from django.conf import settings
from django.db import connections

log = structlog.get_logger(__name__)

# Of each clock. With the threads for messages they stay within DATABASE_POOL_SIZE's default.
THREADS = 4


class SweepClock:
    """Runs each name again and again, in a few threads, and never twice at once."""

    def __init__(self, every_s: Mapping[str, float], run: Callable[[str], object]) -> None:
        self._every_s = every_s
        self._run = run
        self._is_stopping = threading.Event()
        self._lock = threading.Lock()
        # What waits for a thread or has one.
        self._begun: set[str] = set()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sweep")
        self._hand = threading.Thread(target=self._go_round, name="sweep-clock", daemon=True)

    def start(self) -> None:
        """Begin, with all of them, in their order."""
        self._hand.start()

    def stop(self) -> None:
        """Begin no more, and wait for those that run."""
        with self._lock:
            self._is_stopping.set()
        self._threads.shutdown(cancel_futures=True)

    def _go_round(self) -> None:
        now = time.monotonic()
        due = [(now, place, name) for place, name in enumerate(self._every_s)]
        while not self._is_stopping.wait(max(due[0][0] - time.monotonic(), 0)):
            _, place, name = due[0]
            # From now on: what a machine that slept has missed is not caught up on.
            heapq.heapreplace(due, (time.monotonic() + self._every_s[name], place, name))
            self._begin(name)

    def _begin(self, name: str) -> None:
        with self._lock:
            if name in self._begun or self._is_stopping.is_set():
                return
            self._begun.add(name)
            self._threads.submit(self._do, name)

    def _do(self, name: str) -> None:
        try:
            self._run(name)
        except Exception:
            log.exception("sweep_not_run", sweep=name)
        finally:
            with self._lock:
                self._begun.discard(name)


def make_clocks(run: Callable[[str], object]) -> list[SweepClock]:
    """Make the clocks of a worker."""
    return [SweepClock(every_s, run) for every_s in settings.CLOCK_SWEEPS.values()]


class ClockStep(bootsteps.StartStopStep):
    """A part of each worker: its clocks, which start before it looks for its broker."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Start the clocks of this worker."""
        self.clocks = make_clocks(lambda name: run_sweep(parent.app, name))
        for clock in self.clocks:
            clock.start()

    def stop(self, parent: Any) -> None:
        """Wait for the sweeps that run: a thread can't be ended from outside."""
        for clock in self.clocks:
            clock.stop()

    terminate = stop


def run_sweep(app: Celery, name: str) -> None:
    """Run a sweep here and now. Celery logs its error, and the figures count it."""
    try:
        app.tasks[name].apply()
    finally:
        # Celery leaves a task that had no message the connections of its thread.
        connections.close_all()
