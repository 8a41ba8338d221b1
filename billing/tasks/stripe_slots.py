"""Limit how many threads of a worker may wait for Stripe at once.

A call to a Stripe that hangs takes a minute or more. If every thread of a worker waited for it,
no charges would be booked, and within minutes the API would admit no requests.
"""

import threading
from collections.abc import Callable
from functools import wraps

# Of the four threads of a worker; see README.md. The daily comparison and the sweep for missed
# events are not counted: the scheduler starts each of them once.
MOST_WAITING = 2

_lock = threading.Lock()
_running: set[str] = set()


def with_slot(sweep: Callable[[], int]) -> Callable[[], int]:
    """Let a sweep run once at a time in this process, and at most MOST_WAITING such sweeps.

    A sweep that finds no slot returns 0; the next sweep of its kind does the work.
    """
    name = sweep.__name__

    @wraps(sweep)
    def guarded() -> int:
        if not _take(name):
            return 0
        try:
            return sweep()
        finally:
            with _lock:
                _running.discard(name)

    return guarded


def _take(name: str) -> bool:
    with _lock:
        if name in _running or len(_running) >= MOST_WAITING:
            return False
        _running.add(name)
        return True
