"""Extend a hold, or end it: settle it at what its request cost, void it, or reap it."""

from enum import Enum
from typing import NamedTuple

from billing.wallet import arguments
from billing.wallet.commands.command import Command, Reply, call, parse_ok, read_reply, refusal_of
from billing.wallet.keys import Spot
from billing.wallet.usage import RequestFacts, Settlement

# Sent instead of a settlement, so that a hold without progress is voided.
VOID_IT = "-"


class Settled(NamedTuple):
    """A settlement: what was charged in all, and what is left."""

    charged_credits: int
    available_credits: int


class Reaped(Enum):
    """The outcome of an attempt to reap a hold."""

    SETTLED = "OK"
    VOIDED = "VOID"
    ENDED = "ENDED"  # before, by another process
    ALIVE = "ALIVE"  # its lease was renewed


def extend(facts: RequestFacts, progress: Settlement, *, lease_ms: int) -> Command:
    """Extend a lease; `progress` is what the reaper books if the lease runs out."""
    return call(
        "tp_extend",
        Spot.of(facts.wallet_id, facts.request_id),
        arguments.Extend(
            request=facts.request_id,
            lease_ms=lease_ms,
            progress_target=progress.target_credits,
            progress=progress.pack(),
        ),
    )


def settle(facts: RequestFacts, settlement: Settlement) -> Command:
    """Settle a hold at what its request cost."""
    return call(
        "tp_settle",
        Spot.of(facts.wallet_id, facts.request_id),
        arguments.Settle(
            request=facts.request_id,
            target=settlement.target_credits,
            settlement=settlement.pack(),
            used_tokens=settlement.used_tokens,
        ),
    )


def settle_late(
    facts: RequestFacts, settlement: Settlement, *, held: int, charged: int, target: int
) -> Command:
    """Settle a request that Redis does not know; `charged` and `target` are what is booked."""
    return call(
        "tp_settle_late",
        Spot.of(facts.wallet_id, facts.request_id),
        arguments.SettleLate(
            request=facts.request_id,
            target=settlement.target_credits,
            settlement=settlement.pack(),
            used_tokens=settlement.used_tokens,
            wallet_id=facts.wallet_id,
            held=held,
            booked_charged=charged,
            booked_target=target,
            facts=facts.pack(),
            key_id=facts.api_key_id,
            month=facts.month,
        ),
    )


def parse_settle(reply: Reply) -> Settled:
    """Read the answer to `settle` or `settle_late`. Raises UnknownHold, WalletRecovering."""
    charged, available = parse_ok(reply)
    return Settled(charged, available)


def void(facts: RequestFacts) -> Command:
    """Release a hold whose request no upstream accepted."""
    at = Spot.of(facts.wallet_id, facts.request_id)
    return call("tp_void", at, arguments.Void(facts.request_id))


def parse_ended(reply: Reply) -> bool:
    """Return True if the hold is void now, False if it was settled before."""
    status, _ = read_reply(reply)
    if status not in {"OK", "ENDED"}:
        raise refusal_of(status)
    return status == "OK"


def reap(
    wallet_id: int, request_id: str, *, without_progress: Settlement | None, is_dead: bool = False
) -> Command:
    """Settle a hold at its last progress, because its lease ran out or its process is dead.

    Without progress it is settled as `without_progress` says, or voided if that is None.
    """
    return call(
        "tp_reap",
        Spot.of(wallet_id, request_id),
        arguments.Reap(
            request=request_id,
            settlement_without_progress=without_progress.pack() if without_progress else VOID_IT,
            target_without_progress=without_progress.target_credits if without_progress else 0,
            is_dead=int(is_dead),
        ),
    )


def parse_reap(reply: Reply) -> Reaped:
    """Read the answer to `reap`. Raises UnknownHold, WalletRecovering."""
    status, _ = read_reply(reply)
    try:
        return Reaped(status)
    except ValueError:
        raise refusal_of(status) from None
