"""The names of a wallet's keys in Redis. Those of one wallet share a hash tag, its shard.

`signatures.py` says which of them each function of the library is given.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple, Self

SHARDS = 16


def shard_of(wallet_id: int) -> int:
    """Return the shard that holds everything of this wallet."""
    return wallet_id % SHARDS


def prefix(shard: int) -> str:
    """Return the hash tag that starts every key of a shard."""
    return f"{{{shard}}}"


@cache
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


@cache
def leases(shard: int) -> str:
    """When each open hold's lease runs out."""
    return f"{{{shard}}}:leases"


@cache
def events(shard: int) -> str:
    """Debits that the drain has to book."""
    return f"{{{shard}}}:events"


@cache
def drained(shard: int) -> str:
    """When the drain last went through all events of the shard."""
    return f"{{{shard}}}:drained"


@cache
def loaded_upto(shard: int) -> str:
    """The epoch, and up to which wallet's id all of the shard are loaded in it."""
    return f"{{{shard}}}:loaded"


@cache
def handover(shard: int) -> str:
    """What a library tells the one that replaces it; there for one transaction."""
    return f"{{{shard}}}:handover"


def api_key(wallet_id: int, api_key_id: int) -> str:
    """What an API key spent, what it holds, and where its limits stand."""
    return f"{{{wallet_id % SHARDS}}}:key:{api_key_id}"


def member(wallet_id: int, member_id: int) -> str:
    """What a member who has a cap spent on a wallet, and what they hold of it."""
    return f"{{{wallet_id % SHARDS}}}:member:{wallet_id}:{member_id}"


def inquiries_of_key(wallet_id: int, api_key_id: int) -> str:
    """Where an API key's inquiries per minute stand."""
    return f"{{{wallet_id % SHARDS}}}:inquiries:key:{api_key_id}"


def inquiries_of_wallet(wallet_id: int) -> str:
    """Where a wallet's inquiries per minute stand."""
    return f"{{{wallet_id % SHARDS}}}:inquiries:wallet:{wallet_id}"


class Spot(NamedTuple):
    """What a command is about: a shard and, as far as it matters, something of a wallet in it."""

    shard: int
    wallet_id: int = 0
    reference: str = ""
    api_key_id: int = 0

    @classmethod
    def of(cls, wallet_id: int, reference: str = "", api_key_id: int = 0) -> Self:
        """Return the spot of a wallet, and of a register or an API key of it."""
        return cls(wallet_id % SHARDS, wallet_id, reference, api_key_id)


# The keys of a spot, as the library's functions call them.
NAMED: dict[str, Callable[[Spot], str]] = {
    "fence": lambda at: fence(at.shard),
    "wallet_key": lambda at: wallet(at.wallet_id),
    "hold_key": lambda at: register(at.shard, at.reference),
    "leases": lambda at: leases(at.shard),
    "events": lambda at: events(at.shard),
    "drained_at": lambda at: drained(at.shard),
    "loaded_upto": lambda at: loaded_upto(at.shard),
    "handover": lambda at: handover(at.shard),
    "api_key": lambda at: api_key(at.wallet_id, at.api_key_id),
    "inquiries_of_key": lambda at: inquiries_of_key(at.wallet_id, at.api_key_id),
    "inquiries_of_wallet": lambda at: inquiries_of_wallet(at.wallet_id),
}
