"""Limit how many threads of a worker may wait for Stripe at once.

A call to a Stripe that hangs takes a minute or more. If every thread of a worker waited for it,
no charges would be booked, and within minutes the API would admit no requests.
"""

import threading
from collections.abc import Callable
from functools import wraps

# Of the four threads of a worker whose sweeps wait for others (tokenproxy_site/sweep_clock.py). The
# daily comparison and the sweep for missed events have other threads.
MOST_WAITING = 2

_slots = threading.BoundedSemaphore(MOST_WAITING)


def with_slot(sweep: Callable[[], int]) -> Callable[[], int]:
    """Let at most MOST_WAITING such sweeps run at once in this process.

    A sweep that finds no slot returns 0; the next sweep of its kind does the work. That one of a
    kind runs at a time is every task's rule (`tokenproxy_site/sweep_task.py`).
    """

    @wraps(sweep)
    def guarded() -> int:
        if not _slots.acquire(blocking=False):
            return 0
        try:
            return sweep()
        finally:
            _slots.release()

    return guarded
