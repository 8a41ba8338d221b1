"""What Redis has of a shard at one instant, to be compared with the books."""

from dataclasses import dataclass, field

from billing.wallet import hashes, keys
from billing.wallet.commands import loading, shards
from billing.wallet.commands.shards import OpenHold
from billing.wallet.events import Amounts, MalformedEvent, read_amounts
from billing.wallet.hashes import KeyTotals, WalletFigures
from billing.wallet.sync_client import SyncWalletClient

# A wallet, and what spends from it: one of its API keys or members.
Spender = tuple[int, int]


@dataclass(slots=True)
class ShardView:
    """All events and open holds of a shard, and figures of some wallets, keys and members."""

    wallets: dict[int, WalletFigures] = field(default_factory=dict)
    # By wallet and API key, and by wallet and member: only those whom Redis counts.
    api_keys: dict[Spender, KeyTotals] = field(default_factory=dict)
    members: dict[Spender, KeyTotals] = field(default_factory=dict)
    holds: list[OpenHold] = field(default_factory=list)
    # How many leases belong to none of the holds.
    idle_leases: int = 0
    events: list[Amounts] = field(default_factory=list)
    malformed: list[str] = field(default_factory=list)
    # No wallet that was there when Redis was lost is still to be loaded.
    is_all_loaded: bool = False


def view_shard(
    client: SyncWalletClient,
    shard: int,
    wallet_ids: list[int],
    api_keys: list[Spender],
    members: list[Spender],
) -> ShardView:
    """Read an open shard; API keys and members are given with their wallets.

    Raises WalletRecovering.

    Every figure is of the same instant, however busy the wallets are.
    """
    held, (epoch, note, events, *answers) = client.ask_at_one_instant(
        shards.holds(shard),
        [
            ("GET", keys.fence(shard)),
            ("GET", keys.loaded_upto(shard)),
            ("XRANGE", keys.events(shard), "-", "+"),
            *(hashes.ask_wallet(wallet_id) for wallet_id in wallet_ids),
            *(hashes.ask_key(*names) for names in api_keys),
            *(hashes.ask_member(*names) for names in members),
        ],
    )
    holds, idle_leases = shards.parse_holds(held)
    is_all_loaded = loading.read_note(note, epoch=epoch) == loading.EVERYTHING
    view = ShardView(holds=holds, idle_leases=idle_leases, is_all_loaded=is_all_loaded)
    # In the order in which they were asked for.
    answered = iter(answers)
    for wallet_id, values in zip(wallet_ids, answered, strict=False):
        if (figures := hashes.read_wallet(values, epoch=epoch)) is not None:
            view.wallets[wallet_id] = figures
    for names, values in zip(api_keys, answered, strict=False):
        view.api_keys[names] = hashes.read_key(values, epoch=epoch)
    for names, values in zip(members, answered, strict=False):
        if (totals := hashes.read_member(values, epoch=epoch)) is not None:
            view.members[names] = totals
    for event_id, fields in events:
        try:
            view.events.append(read_amounts(event_id, fields))
        except MalformedEvent:
            view.malformed.append(f"{keys.events(shard)} {event_id.decode()}")
    return view
