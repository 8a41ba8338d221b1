"""Load wallets into an open shard: ask for its epoch, read PostgreSQL, load into that epoch."""

from collections.abc import Iterable, Mapping

from billing.exceptions import WalletRecovering
from billing.wallet import arguments, keys
from billing.wallet.commands.command import Argument, Command, Reply, call, parse_ok, refusal_of
from billing.wallet.commands.restoring import BookedWallet, Spent
from billing.wallet.keys import Spot

# How far a shard is loaded when nothing of it is left: no id is greater.
EVERYTHING = 2**53 - 1


def epoch(shard: int) -> Command:
    """Ask for the epoch of an open shard."""
    return call("tp_epoch", Spot(shard))


def parse_epoch(reply: Reply) -> str:
    """Read the answer to `epoch`. Raises WalletRecovering if the shard is closed."""
    status, *found = reply
    if status != b"OK" or not isinstance(found[0], bytes):
        raise refusal_of(status.decode() if isinstance(status, bytes) else str(status))
    return found[0].decode()


def read_note(note: bytes | None, *, epoch: bytes | None) -> int:
    """Read `{s}:loaded`: up to which wallet's id all of the shard are loaded in this epoch."""
    of, _, upto = (note or b"").partition(b" ")
    return int(upto) if of == epoch else 0


def load(
    shard: int,
    wallets: Iterable[BookedWallet],
    spending: Mapping[int, list[Spent]],
    *,
    epoch: str,
    upto: int = 0,
) -> Command:
    """Bring wallets into an epoch, with what their keys spent; those that are there stay as is.

    `upto` notes that all wallets of the shard up to this id are in it then.
    """
    given: list[Argument] = [*arguments.Load(epoch, keys.prefix(shard), upto)]
    for wallet in wallets:
        spent = spending.get(wallet.pk, [])
        given += arguments.LoadedRow(
            wallet_id=wallet.pk,
            posted=wallet.posted_credits,
            credited=wallet.credited_credits,
            debt=wallet.debt_credits,
            state=wallet.state,
            version=wallet.version,
            months=len(spent),
        )
        for row in spent:
            given += arguments.SpentRow(*row)
    return call("tp_load", Spot(shard), tuple(given))


def parse_load(reply: Reply) -> int:
    """Return how many wallets were not there yet. Raises WalletRecovering."""
    if reply[0] == b"OVERTAKEN":
        raise WalletRecovering("The wallets were rebuilt while some of them were read.")
    (loaded,) = parse_ok(reply)
    return loaded
