"""How many requests of an account wait in one process for the answer to another."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from billing.exceptions import Limited, RateLimited
from common.rates import RateState

# Each asks Redis ten times a second. What this bounds is a process's work, so each has its own.
MOST_WAITING = 20
# Nobody knows when the answer comes.
RETRY_AFTER_MS = 500


class WaitingRoom:
    """The requests that wait in this process, by wallet."""

    def __init__(self) -> None:
        self._waiting: Counter[int] = Counter()

    @contextmanager
    def enter(self, wallet_id: int, rate: RateState) -> Iterator[None]:
        """Take a seat while the block runs. Raises RateLimited if the wallet has none left."""
        if self._waiting[wallet_id] >= MOST_WAITING:
            raise RateLimited(
                what=Limited.WAITING,
                is_wallets=True,
                limit=MOST_WAITING,
                retry_after_ms=RETRY_AFTER_MS,
                rate=rate,
            )
        self._waiting[wallet_id] += 1
        try:
            yield
        finally:
            self._waiting[wallet_id] -= 1
            if not self._waiting[wallet_id]:
                del self._waiting[wallet_id]
