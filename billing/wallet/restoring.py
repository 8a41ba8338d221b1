"""The recoverer's calls: they work only behind a closed fence."""

from billing.models import Wallet
from billing.usage import RequestFacts
from billing.wallet import keys
from billing.wallet.calls import Call
from billing.wallet.events import Event


def wallet(row: Wallet, *, pend: int, held: int) -> Call:
    """Set a wallet to absolute figures."""
    return Call(
        "tp_restore_wallet",
        (keys.fence(keys.shard_of(row.pk)), keys.wallet(row.pk)),
        (
            row.posted_credits,
            pend,
            held,
            row.credited_credits,
            row.debt_credits,
            row.state,
            row.version,
        ),
    )


def hold(facts: RequestFacts, *, amount: int, lease_ms: int) -> Call:
    """Put back an open hold that Redis lost."""
    shard = keys.shard_of(facts.wallet_id)
    return Call(
        "tp_restore_hold",
        (keys.fence(shard), keys.hold(facts.wallet_id, facts.request_id), keys.leases(shard)),
        (facts.request_id, facts.wallet_id, amount, lease_ms, facts.pack()),
    )


def event(found: Event, *, delta: int) -> Call:
    """Put an event back with another delta: part of it is booked already."""
    assert found.facts is not None and found.settlement is not None  # noqa: S101
    shard = keys.shard_of(found.wallet_id)
    return Call(
        "tp_restore_event",
        (
            keys.fence(shard),
            keys.hold(found.wallet_id, found.reference),
            keys.leases(shard),
            keys.events(shard),
        ),
        (
            "usage",
            found.reference,
            found.wallet_id,
            delta,
            found.charged,
            found.target,
            found.held,
            found.facts.pack(),
            found.settlement.pack(),
        ),
    )


def forget(shard: int, *, event_ids: list[str], holds: list[str]) -> Call:
    """Drop events, registers and leases that PostgreSQL already has."""
    return Call(
        "tp_forget",
        (keys.fence(shard), keys.leases(shard), keys.events(shard)),
        (keys.prefix(shard), len(event_ids), *event_ids, *holds),
    )


def open_fence(shard: int, *, epoch: str) -> Call:
    """Let the API use a shard that has been rebuilt."""
    return Call("tp_open", (keys.fence(shard),), (epoch,))


def close(shard: int) -> Call:
    """Stop serving a shard until it has been rebuilt."""
    return Call("tp_close", (keys.fence(shard),))
