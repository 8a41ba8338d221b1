"""Waiting for what other processes do, of which nothing tells us."""

import time
from collections.abc import Callable

# Nothing waits so long where it works: a machine that does much else must not fail a test.
PATIENCE_S = 60.0
LOOK_AGAIN_S = 0.05


def await_true(condition: Callable[[], object], *, what: str, within_s: float = PATIENCE_S) -> None:
    """Look again and again; fail with what it was for if it takes too long."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s:.0f} s for {what}"
        time.sleep(LOOK_AGAIN_S)
