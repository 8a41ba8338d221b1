"""The recoverer's commands: they work only between `begin` and `open_fence` of the same epoch.

Each is refused as OVERTAKEN if Redis was restarted or flushed since, or another rebuild began.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from billing.models import Wallet
from billing.wallet import arguments, keys
from billing.wallet.commands.command import Argument, Command, call
from billing.wallet.keys import Spot
from billing.wallet.usage import RequestFacts, Settlement

# The amount that is sent for a register that is no open hold.
HOLDS_NOTHING = -1


@dataclass(frozen=True, slots=True)
class LostHold:
    """An open hold to put back, and how its request ended meanwhile, if it did."""

    facts: RequestFacts
    amount: int
    lease_ms: int
    ending: Settlement | None = None
    charged: int = 0
    target: int = 0


class BookedWallet(NamedTuple):
    """What PostgreSQL has of a wallet: the columns that Redis has, too."""

    pk: int
    posted_credits: int
    credited_credits: int
    debt_credits: int
    state: str
    version: int


class Spent(NamedTuple):
    """What an API key's requests that started in one month were charged."""

    api_key: int
    month: int
    charged_credits: int


def begin(shard: int, *, epoch: str) -> Command:
    """Close a shard and start to rebuild it."""
    return call("tp_begin", Spot(shard), arguments.Epoch(epoch))


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


def wallets(
    shard: int, rows: Iterable[tuple[BookedWallet | Wallet, int, int, int]], *, epoch: str
) -> Command:
    """Set wallets to absolute figures. A row: wallet, pending credits, held credits, open holds."""
    given: list[Argument] = [*arguments.Rebuild(epoch, keys.prefix(shard))]
    for row, pend, held, count in rows:
        given += arguments.WalletRow(
            wallet_id=row.pk,
            base=row.posted_credits,
            pend=pend,
            held=held,
            credited=row.credited_credits,
            debt=row.debt_credits,
            state=row.state,
            version=row.version,
            open=count,
        )
    return call("tp_restore_wallets", Spot(shard), tuple(given))


def api_keys(shard: int, rows: Iterable[tuple[int, RestoredKey]], *, epoch: str) -> Command:
    """Set API keys of a shard to absolute figures. Keys without a row spent nothing."""
    given: list[Argument] = [*arguments.Rebuild(epoch, keys.prefix(shard))]
    for api_key_id, key in rows:
        given += arguments.KeyRow(
            key_id=api_key_id,
            open=key.open,
            held=key.held,
            spent=key.spent,
            months=len(key.months),
        )
        for month, figures in key.months.items():
            given += arguments.MonthRow(month, figures.held, figures.spent)
    return call("tp_restore_keys", Spot(shard), tuple(given))


def holds(shard: int, lost: Iterable[LostHold], *, epoch: str) -> Command:
    """Put back open holds that Redis lost."""
    given: list[Argument] = [*arguments.Rebuild(epoch, keys.prefix(shard))]
    for hold in lost:
        given += arguments.HoldRow(
            request=hold.facts.request_id,
            wallet_id=hold.facts.wallet_id,
            amount=hold.amount,
            charged=hold.charged,
            target=hold.target,
            progress_target=hold.ending.target_credits if hold.ending else 0,
            progress=hold.ending.pack() if hold.ending else "",
            lease_ms=hold.lease_ms,
            facts=hold.facts.pack(),
            key_id=hold.facts.api_key_id,
            month=hold.facts.month,
        )
    return call("tp_restore_holds", Spot(shard), tuple(given))


def keep(shard: int, registers: Iterable[tuple[str, int]], *, lease_ms: int, epoch: str) -> Command:
    """Bring registers into the new epoch, each with the credits that it holds or HOLDS_NOTHING."""
    given: list[Argument] = [*arguments.Keep(epoch, keys.prefix(shard), lease_ms)]
    for reference, amount in registers:
        given += arguments.RegisterRow(reference, amount)
    return call("tp_keep", Spot(shard), tuple(given))


def correct_event(
    shard: int, event_id: str, *, reference: str, delta: int, charged: int, epoch: str
) -> Command:
    """Replace an event if a part of it is booked already or can no longer be booked."""
    return call(
        "tp_correct_event",
        Spot(shard, reference=reference),
        arguments.CorrectEvent(epoch=epoch, event_id=event_id, delta=delta, charged=charged),
    )


def forget(shard: int, *, event_ids: list[str], holds: list[str], epoch: str) -> Command:
    """Drop events, registers and leases that PostgreSQL already has."""
    return call(
        "tp_forget",
        Spot(shard),
        (*arguments.Forget(epoch, keys.prefix(shard), len(event_ids)), *event_ids, *holds),
    )


def open_fence(shard: int, *, epoch: str) -> Command:
    """Let the API use a shard that has been rebuilt."""
    return call("tp_open", Spot(shard), arguments.Epoch(epoch))


def close(shard: int) -> Command:
    """Stop serving a shard until it has been rebuilt."""
    return call("tp_close", Spot(shard))
