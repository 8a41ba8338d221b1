"""Where requests and tokens per minute stand, as wallets answer and clients are told."""

from typing import NamedTuple


class Bucket(NamedTuple):
    """Where requests or tokens per minute stand: of the key or the wallet, whichever has less."""

    limit: int
    remaining: int
    reset_ms: int


class RateState(NamedTuple):
    """Where requests and tokens per minute stand."""

    requests: Bucket
    tokens: Bucket

    @classmethod
    def read(cls, figures: list[int]) -> "RateState":
        """Read the six figures at the end of a reply."""
        return cls(Bucket(*figures[:3]), Bucket(*figures[3:]))
