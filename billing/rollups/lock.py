"""The lock of whoever writes roll-ups: one at a time."""

from common.locks import lock_names, try_lock_name

LOCK = "roll-ups"


def lock_roll_ups() -> None:
    """Keep every sweep away until the caller's transaction ends."""
    lock_names(LOCK)


def try_lock_roll_ups() -> bool:
    """Do the same unless somebody else works; tell whether it was done."""
    return try_lock_name(LOCK)
