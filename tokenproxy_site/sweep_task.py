"""How a worker runs its sweeps: each once at a time, and none for ever.

The sweeps share the worker's few threads. One that hangs keeps one thread, since the next of its
kind is left out until it has ended; and what is left out loses only time. What a sweep waits for
has a limit of its own: statements and locks of PostgreSQL, Redis, Stripe, the mail server. Should
one hang all the same, the log says where it stands after SLOW_S, and after its time limit the
worker ends itself. A thread can't be ended from outside, and any sweep may die anywhere. Whoever
started the worker starts it anew.
"""

import os
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import structlog
from celery import Task
from django.conf import settings

from common.log_lines import STDERR
from common.tracing import span

log = structlog.get_logger(__name__)

# Every sweep that has no longer limit takes less than this, unless it waits for something.
SLOW_S = 60.0
LOOK_EVERY_S = 1.0
# What a worker that ended itself exits with: EX_SOFTWARE.
STUCK = 70


@dataclass
class Run:
    """A sweep that is running in a thread of this process."""

    limit_s: float
    thread: int
    began_at: float
    is_noted: bool = False


class Runs:
    """The sweeps that run in this process, by name. A thread of its own looks after them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, Run] = {}
        self._watch: threading.Thread | None = None

    def begin(self, name: str, *, limit_s: float) -> bool:
        """Note that a sweep begins. False if it is running already."""
        with self._lock:
            if name in self._by_name:
                return False
            self._by_name[name] = Run(limit_s, threading.get_ident(), time.monotonic())
            if self._watch is None:
                self._watch = threading.Thread(target=self._look_on, name="sweeps", daemon=True)
                self._watch.start()
        return True

    def end(self, name: str) -> None:
        """Note that a sweep has ended."""
        with self._lock:
            del self._by_name[name]

    def _look_on(self) -> None:
        while True:
            time.sleep(LOOK_EVERY_S)
            with self._lock:
                runs = list(self._by_name.items())
            for name, run in runs:
                self._look_at(name, run, age_s=time.monotonic() - run.began_at)

    def _look_at(self, name: str, run: Run, *, age_s: float) -> None:
        if age_s > run.limit_s:
            log.critical("sweep_stuck", sweep=name, seconds=round(age_s), at=where(run.thread))
            STDERR.flush()
            os._exit(STUCK)
        if age_s > SLOW_S and not run.is_noted:
            run.is_noted = True
            log.warning("sweep_slow", sweep=name, seconds=round(age_s), at=where(run.thread))


def where(thread: int) -> list[str]:
    """Return where a thread stands: its last frames, innermost last."""
    frame = sys._current_frames().get(thread)
    found = traceback.extract_stack(frame)[-8:] if frame else []
    return [f"{each.filename}:{each.lineno} {each.name}" for each in found]


RUNS = Runs()


class SweepTask(Task[..., Any]):
    """A task of this product. It runs once at a time in each process."""

    is_sweep = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, or return None: one of its kind is running and does its work."""
        limit_s = self.time_limit or settings.CELERY_TASK_TIME_LIMIT
        if not RUNS.begin(self.name, limit_s=limit_s):
            log.info("sweep_left_out", sweep=self.name)
            return None
        try:
            with span(self.name):
                return super().__call__(*args, **kwargs)
        finally:
            RUNS.end(self.name)
