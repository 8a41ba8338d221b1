"""The names of a wallet's keys in Redis. Those of one wallet share a hash tag, its shard.

Each function of the library is given its keys as one of the tuples below; see `signatures.py`.
"""

from typing import NamedTuple, Self

SHARDS = 16


def shard_of(wallet_id: int) -> int:
    """Return the shard that holds everything of this wallet."""
    return wallet_id % SHARDS


def prefix(shard: int) -> str:
    """Return the hash tag that starts every key of a shard."""
    return f"{{{shard}}}"


def fence(shard: int) -> str:
    """The epoch in which the shard was opened; absent after a flush."""
    return f"{{{shard}}}:fence"


def wallet(wallet_id: int) -> str:
    """The figures of one wallet."""
    return f"{{{wallet_id % SHARDS}}}:wallet:{wallet_id}"


def hold(wallet_id: int, reference: str) -> str:
    """The register of one request or debit."""
    return register(wallet_id % SHARDS, reference)


def register(shard: int, reference: str) -> str:
    """The register of one request or debit, for a caller that knows only its shard."""
    return f"{{{shard}}}:hold:{reference}"


def leases(shard: int) -> str:
    """When each open hold's lease runs out."""
    return f"{{{shard}}}:leases"


def events(shard: int) -> str:
    """Debits that the drain has to book."""
    return f"{{{shard}}}:events"


def drained(shard: int) -> str:
    """When the drain last went through all events of the shard."""
    return f"{{{shard}}}:drained"


def api_key(wallet_id: int, api_key_id: int) -> str:
    """What an API key spent, what it holds, and where its limits stand."""
    return f"{{{wallet_id % SHARDS}}}:key:{api_key_id}"


def inquiries_of_key(wallet_id: int, api_key_id: int) -> str:
    """Where an API key's inquiries per minute stand."""
    return f"{{{wallet_id % SHARDS}}}:inquiries:key:{api_key_id}"


def inquiries_of_wallet(wallet_id: int) -> str:
    """Where a wallet's inquiries per minute stand."""
    return f"{{{wallet_id % SHARDS}}}:inquiries:wallet:{wallet_id}"


class Fence(NamedTuple):
    """The fence of a shard alone."""

    fence: str

    @classmethod
    def of(cls, shard: int) -> Self:
        """Return the keys of a shard."""
        return cls(fence(shard))


class WalletKeys(NamedTuple):
    """One wallet."""

    fence: str
    wallet_key: str

    @classmethod
    def of(cls, wallet_id: int) -> Self:
        """Return the keys of a wallet."""
        return cls(fence(shard_of(wallet_id)), wallet(wallet_id))


class RegisterKeys(NamedTuple):
    """One register, to read."""

    fence: str
    hold_key: str


class ExtendKeys(NamedTuple):
    """One hold and its lease."""

    fence: str
    hold_key: str
    leases: str


class VoidKeys(NamedTuple):
    """One hold, to end without an event."""

    fence: str
    wallet_key: str
    hold_key: str
    leases: str


class EndingKeys(NamedTuple):
    """One hold, to end with an event."""

    fence: str
    wallet_key: str
    hold_key: str
    leases: str
    events: str

    @classmethod
    def of(cls, wallet_id: int, request_id: str) -> Self:
        """Return the keys of a request's hold."""
        shard = shard_of(wallet_id)
        return cls(
            fence(shard),
            wallet(wallet_id),
            hold(wallet_id, request_id),
            leases(shard),
            events(shard),
        )


class PlaceKeys(NamedTuple):
    """One hold, to place within the limits of its API key."""

    fence: str
    wallet_key: str
    hold_key: str
    leases: str
    api_key: str
    events: str
    drained_at: str


class CountRequestKeys(NamedTuple):
    """A wallet and one of its API keys."""

    fence: str
    wallet_key: str
    api_key: str


class DebitKeys(NamedTuple):
    """A debit that is not usage."""

    fence: str
    wallet_key: str
    hold_key: str
    events: str


class InquiryKeys(NamedTuple):
    """A wallet, one of its API keys, and the rate of their inquiries."""

    fence: str
    wallet_key: str
    api_key: str
    inquiries_of_key: str
    inquiries_of_wallet: str


class EventsKeys(NamedTuple):
    """The events of a shard."""

    fence: str
    events: str


class DrainedKeys(NamedTuple):
    """When a shard was last drained."""

    fence: str
    drained_at: str


class BacklogKeys(NamedTuple):
    """The events of a shard, and when it was last drained."""

    fence: str
    events: str
    drained_at: str


class LeasesKeys(NamedTuple):
    """The open holds of a shard."""

    fence: str
    leases: str

    @classmethod
    def of(cls, shard: int) -> Self:
        """Return the keys of a shard."""
        return cls(fence(shard), leases(shard))


class CorrectEventKeys(NamedTuple):
    """An event and its register."""

    fence: str
    events: str
    hold_key: str


class ForgetKeys(NamedTuple):
    """The open holds and the events of a shard."""

    fence: str
    leases: str
    events: str
