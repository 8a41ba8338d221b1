"""The recoverer's calls: they work only between `begin` and `open_fence` of the same epoch.

Each is refused as OVERTAKEN if Redis was restarted or flushed since, or another rebuild began.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from billing.models import Wallet
from billing.wallet import keys
from billing.wallet.calls import Argument, Call
from billing.wallet.usage import RequestFacts, Settlement

# Instead of an amount, for a register that is no open hold.
HOLDS_NOTHING = -1


@dataclass(frozen=True, slots=True)
class LostHold:
    """An open hold to put back, and the end that its request came to meanwhile, if it did."""

    facts: RequestFacts
    amount: int
    lease_ms: int
    ending: Settlement | None = None
    charged: int = 0
    target: int = 0


def begin(shard: int, *, epoch: str) -> Call:
    """Close a shard and start to rebuild it."""
    return Call("tp_begin", (keys.fence(shard),), (epoch,))


@dataclass(slots=True)
class MonthFigures:
    """What an API key's requests that started in one month hold and were charged."""

    held: int = 0
    spent: int = 0


@dataclass(slots=True)
class RestoredKey:
    """What an API key has open, holds and spent; `months` are those that still matter."""

    open: int = 0
    held: int = 0
    spent: int = 0
    months: dict[int, MonthFigures] = field(default_factory=dict)

    def month(self, month: int) -> MonthFigures:
        """Return the figures of a month, to be added to."""
        return self.months.setdefault(month, MonthFigures())


def wallets(shard: int, rows: Iterable[tuple[Wallet, int, int, int]], *, epoch: str) -> Call:
    """Set wallets of a shard to absolute figures: each with what is pending, held and open."""
    arguments: list[Argument] = [epoch, keys.prefix(shard)]
    for row, pend, held, count in rows:
        arguments += [
            row.pk,
            row.posted_credits,
            pend,
            held,
            row.credited_credits,
            row.debt_credits,
            row.state,
            row.version,
            count,
        ]
    return Call("tp_restore_wallets", (keys.fence(shard),), tuple(arguments))


def api_keys(shard: int, rows: Iterable[tuple[int, RestoredKey]], *, epoch: str) -> Call:
    """Set API keys of a shard to absolute figures. Those that are not told of spent nothing."""
    arguments: list[Argument] = [epoch, keys.prefix(shard)]
    for api_key_id, key in rows:
        arguments += [api_key_id, key.open, key.held, key.spent, len(key.months)]
        for month, figures in key.months.items():
            arguments += [month, figures.held, figures.spent]
    return Call("tp_restore_keys", (keys.fence(shard),), tuple(arguments))


def holds(shard: int, lost: Iterable[LostHold], *, epoch: str) -> Call:
    """Put back open holds that Redis lost."""
    arguments: list[Argument] = [epoch, keys.prefix(shard)]
    for hold in lost:
        arguments += [
            hold.facts.request_id,
            hold.facts.wallet_id,
            hold.amount,
            hold.charged,
            hold.target,
            hold.ending.target_credits if hold.ending else 0,
            hold.ending.pack() if hold.ending else "",
            hold.lease_ms,
            hold.facts.pack(),
            hold.facts.api_key_id,
            hold.facts.month,
        ]
    return Call("tp_restore_holds", (keys.fence(shard), keys.leases(shard)), tuple(arguments))


def keep(shard: int, registers: Iterable[tuple[str, int]], *, lease_ms: int, epoch: str) -> Call:
    """Bring registers into the new epoch: open holds of so many credits, or HOLDS_NOTHING."""
    arguments: list[Argument] = [epoch, keys.prefix(shard), lease_ms]
    for reference, amount in registers:
        arguments += [reference, amount]
    return Call("tp_keep", (keys.fence(shard), keys.leases(shard)), tuple(arguments))


def correct_event(
    shard: int, event_id: str, *, reference: str, delta: int, charged: int, epoch: str
) -> Call:
    """Replace an event of which a part is booked already, or can't be any more."""
    return Call(
        "tp_correct_event",
        (keys.fence(shard), keys.events(shard), keys.register(shard, reference)),
        (epoch, event_id, delta, charged),
    )


def forget(shard: int, *, event_ids: list[str], holds: list[str], epoch: str) -> Call:
    """Drop events, registers and leases that PostgreSQL already has."""
    return Call(
        "tp_forget",
        (keys.fence(shard), keys.leases(shard), keys.events(shard)),
        (epoch, keys.prefix(shard), len(event_ids), *event_ids, *holds),
    )


def open_fence(shard: int, *, epoch: str) -> Call:
    """Let the API use a shard that has been rebuilt."""
    return Call("tp_open", (keys.fence(shard),), (epoch,))


def close(shard: int) -> Call:
    """Stop serving a shard until it has been rebuilt."""
    return Call("tp_close", (keys.fence(shard),))
