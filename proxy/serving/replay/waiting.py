"""A limit on the requests of a wallet that wait in one process for another's answer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from billing.exceptions import Limited, RateLimited
from common.rates import RateState

# Each asks Redis ten times a second. The limit bounds a process' work, so it is per process.
MOST_WAITING = 20
# A guess: it is not known when a place becomes free.
RETRY_AFTER_MS = 500


class WaitingRoom:
    """The requests that wait in this process, by wallet."""

    def __init__(self) -> None:
        self._waiting: Counter[int] = Counter()

    @contextmanager
    def enter(self, wallet_id: int, rate: RateState) -> Iterator[None]:
        """Take a place while the block runs. Raises RateLimited if the wallet has none left."""
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
