"""A shard: whether it is open, its holds, its events, and how far the drain is behind."""

from dataclasses import dataclass

from billing.wallet import arguments, keys
from billing.wallet.commands.command import Command, Reply, call, parse_ok, read_reply, refusal_of
from billing.wallet.keys import Spot
from billing.wallet.usage import RequestFacts


@dataclass(frozen=True, slots=True)
class Register:
    """A request as Redis has it: running while open, then charged and maybe not yet booked."""

    facts: RequestFacts
    is_open: bool
    held_credits: int
    charged_credits: int
    target_credits: int


@dataclass(frozen=True, slots=True)
class OpenHold:
    """An open hold: its wallet, API key and member, and the credits that it keeps."""

    wallet_id: int
    api_key_id: int
    amount: int
    member_id: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events of a shard wait, and for how long the drain has left them waiting."""

    events: int
    age_ms: int


def status(shard: int) -> Command:
    """Ask whether a shard is open."""
    return call("tp_status", Spot(shard))


def hand_over(shard: int, *, attempt: str) -> Command:
    """Write down that a shard is open, for the library that replaces this one."""
    return call("tp_hand_over", Spot(shard), arguments.HandOver(attempt, keys.prefix(shard)))


def take_over(shard: int, *, attempt: str) -> Command:
    """Open a shard that was handed over in the same transaction."""
    return call("tp_take_over", Spot(shard), arguments.Attempt(attempt))


def register(wallet_id: int, request_id: str) -> Command:
    """Read the register of a request."""
    return call("tp_register", Spot.of(wallet_id, request_id))


def parse_register(reply: Reply) -> Register:
    """Read the answer to `register`. Raises UnknownHold, WalletRecovering."""
    status, *fields = reply
    if status != b"OK":
        raise refusal_of(read_reply(reply)[0])
    *figures, packed = fields
    is_open, held, charged, target = (int(figure) for figure in figures)
    facts = RequestFacts.unpack(packed if isinstance(packed, bytes) else b"")
    return Register(facts, bool(is_open), held, charged, target)


def holds(shard: int) -> Command:
    """Ask for every open hold of a shard."""
    return call("tp_holds", Spot(shard), arguments.Prefix(keys.prefix(shard)))


def parse_holds(reply: Reply) -> tuple[list[OpenHold], int]:
    """Return the holds, and how many leases belong to no open hold. Raises WalletRecovering."""
    idle, *rest = parse_ok(reply)
    figures = iter(rest)
    return [OpenHold(*each) for each in zip(*[figures] * 4, strict=True)], idle


def ack(shard: int, event_ids: list[str]) -> Command:
    """Acknowledge events that PostgreSQL has booked."""
    return call("tp_ack", Spot(shard), (*arguments.Prefix(keys.prefix(shard)), *event_ids))


def drained(shard: int) -> Command:
    """Record that the drain went through all events; those that are left can't be booked."""
    return call("tp_drained", Spot(shard))


def backlog(shard: int) -> Command:
    """Ask how far the drain is behind."""
    return call("tp_backlog", Spot(shard))


def parse_backlog(reply: Reply) -> Backlog:
    """Read the answer to `backlog`. Raises WalletRecovering."""
    return Backlog(*parse_ok(reply))
