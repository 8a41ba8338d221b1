"""The rates of requests and tokens per minute, as wallets report them and clients see them."""

from typing import NamedTuple


class Bucket(NamedTuple):
    """Requests or tokens per minute: of the key or the wallet, whichever has less left."""

    limit: int
    remaining: int
    reset_ms: int


class RateState(NamedTuple):
    """The rates of requests and of tokens per minute."""

    requests: Bucket
    tokens: Bucket

    @classmethod
    def read(cls, figures: list[int]) -> "RateState":
        """Read the six figures at the end of a reply."""
        return cls(Bucket(*figures[:3]), Bucket(*figures[3:]))
