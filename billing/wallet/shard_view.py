"""What Redis has of a shard at one instant, for whoever compares it with the books."""

from dataclasses import dataclass, field

from billing.wallet import commands, keys
from billing.wallet.commands import OpenHold
from billing.wallet.events import Amounts, MalformedEvent, read_amounts
from billing.wallet.sync_client import SyncWalletClient

FIELDS = ("base", "pend", "held", "credited", "v", "debt", "open", "state")
KEY_FIELDS = ("open", "held", "spent")


@dataclass(frozen=True, slots=True)
class WalletFigures:
    """A wallet as Redis has it."""

    base: int
    pend: int
    held: int
    credited: int
    version: int
    debt: int
    open: int
    state: str


@dataclass(slots=True)
class ShardView:
    """All events and open holds of a shard, and the figures of some of its wallets and keys."""

    wallets: dict[int, WalletFigures] = field(default_factory=dict)
    # By API key; one that nobody used in this epoch is not there.
    api_keys: dict[int, dict[str, int]] = field(default_factory=dict)
    holds: list[OpenHold] = field(default_factory=list)
    # How many leases are of none of them.
    idle_leases: int = 0
    events: list[Amounts] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)


def view_shard(
    client: SyncWalletClient, shard: int, wallet_ids: list[int], api_keys: list[tuple[int, int]]
) -> ShardView:
    """Read an open shard; API keys are given with their wallets. Raises WalletRecovering.

    Every figure is of the same instant, however busy the wallets are.
    """
    held, (epoch, events, *hashes) = client.ask_at_one_instant(
        commands.holds(shard),
        [
            ("GET", keys.fence(shard)),
            ("XRANGE", keys.events(shard), "-", "+"),
            *(("HMGET", keys.wallet(wallet_id), *FIELDS) for wallet_id in wallet_ids),
            *(("HMGET", keys.api_key(*names), "e", *KEY_FIELDS) for names in api_keys),
        ],
    )
    holds, idle_leases = commands.parse_holds(held)
    view = ShardView(holds=holds, idle_leases=idle_leases)
    for wallet_id, values in zip(wallet_ids, hashes, strict=False):
        if values[0] is not None:
            view.wallets[wallet_id] = _read_figures(values)
    for (_, api_key_id), values in zip(api_keys, hashes[len(wallet_ids) :], strict=True):
        if values[0] == epoch:
            figures = [int(value) for value in values[1:]]
            view.api_keys[api_key_id] = dict(zip(KEY_FIELDS, figures, strict=True))
    for event_id, fields in events:
        try:
            view.events.append(read_amounts(event_id, fields))
        except MalformedEvent:
            view.malformed.append(f"{keys.events(shard)} {event_id.decode()}")
    return view


def _read_figures(values: list[bytes]) -> WalletFigures:
    *figures, state = values
    base, pend, held, credited, version, debt, opened = map(int, figures)
    return WalletFigures(base, pend, held, credited, version, debt, opened, state.decode())
