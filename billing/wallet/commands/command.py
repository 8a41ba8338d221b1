"""A command to Redis, and the errors that its reply may mean."""

from typing import NamedTuple

from billing import exceptions
from billing.wallet.keys import NAMED, Spot
from billing.wallet.signatures import FUNCTIONS

Reply = list[bytes | int]
Argument = str | bytes | int


class Command(NamedTuple):
    """One FCALL: the function's name, its keys, its arguments, as `signatures.py` has them."""

    # Whose server is asked.
    shard: int
    function: str
    keys: tuple[str, ...]
    arguments: tuple[Argument, ...] = ()

    def parts(self) -> tuple[Argument, ...]:
        """Return the command as Redis takes it."""
        return ("FCALL", self.function, len(self.keys), *self.keys, *self.arguments)


def call(function: str, at: Spot, arguments: tuple[Argument, ...] = ()) -> Command:
    """Return a call of a function about a spot, with the keys that its signature names."""
    # A list, because a generator takes a third longer for so few.
    keys = tuple([NAMED[name](at) for name in FUNCTIONS[function].keys])
    return Command(at.shard, function, keys, arguments)


def read_reply(reply: Reply) -> tuple[str, list[int]]:
    """Return a reply's status and figures."""
    head, *figures = reply
    if not isinstance(head, bytes):
        raise exceptions.WalletError(f"The wallet answered {head!r} where a status was due.")
    return head.decode(), [int(figure) for figure in figures]


def parse_ok(reply: Reply) -> list[int]:
    """Return the figures of a reply that must be OK. Raises the WalletError that it means."""
    status, figures = read_reply(reply)
    if status != "OK":
        raise refusal_of(status)
    return figures


def refusal_of(status: str) -> exceptions.WalletError:
    """Return the error that a status means."""
    return _REFUSALS.get(status, exceptions.WalletError)(f"The wallet answered {status}.")


_REFUSALS: dict[str, type[exceptions.WalletError]] = {
    "RECOVERING": exceptions.WalletRecovering,
    "BACKLOGGED": exceptions.WalletBacklogged,
    "MISSING": exceptions.WalletMissing,
    "STALE": exceptions.WalletStale,
    "UNCOUNTED": exceptions.MemberUncounted,
    "FROZEN": exceptions.WalletFrozen,
    "IN_DEBT": exceptions.WalletInDebt,
    "UNKNOWN": exceptions.UnknownHold,
    "ENDED": exceptions.UnknownHold,
}
