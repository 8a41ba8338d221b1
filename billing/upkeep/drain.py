"""Book what Redis decided: stream events become usage records, ledger entries and lots.

One batch is one transaction; only after its commit are the events acknowledged, and only that
reduces `pend`. A batch that is read twice, or by two workers at once, books nothing twice: a
usage record is known by its request, a debit by its row. Several workers share the shards: each
takes those that no other is reading. No rebuild comes between reading a batch and its commit, so
what is booked here is known to every rebuild that follows.
"""

from dataclasses import dataclass

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, transaction

from billing.exceptions import BillingError
from billing.ledger.agreement import check_now
from billing.ledger.bookings import book
from billing.ledger.inbox import file_item
from billing.ledger.key_use import note_last_use
from billing.wallet import keys
from billing.wallet.commands import shards
from billing.wallet.commands.command import parse_ok
from billing.wallet.events import Event, Fields, MalformedEvent, read_event
from billing.wallet.node import Node
from billing.wallet.rebuild_barrier import no_rebuild_meanwhile
from billing.wallet.sync_client import SyncWalletClient, each_apart, get_sync_client
from common.locks import try_lock_name

log = structlog.get_logger(__name__)

BATCH = 1_000


@dataclass
class Drained:
    """How many events were booked, and how many could not be and wait for a person."""

    booked: int = 0
    stuck: int = 0


def drain(*, batch: int = BATCH) -> Drained:
    """Book every waiting event. Safe to repeat and to run concurrently.

    Raises WalletRecovering, after the shards that are open.
    """
    client = get_sync_client()
    drained = Drained()

    def drain_shard(shard: int) -> None:
        _drain_shard(client, shard, drained, batch=batch)

    def drain_node(node: Node) -> None:
        each_apart(_shards_with_events(node), drain_shard)

    each_apart(client.nodes, drain_node)
    return drained


def _shards_with_events(node: Node) -> list[int]:
    pipeline = node.redis.pipeline(transaction=False)
    for shard in node.shards:
        pipeline.xlen(keys.events(shard))
    with node.reaching():
        lengths = pipeline.execute()
    return [shard for shard, length in zip(node.shards, lengths, strict=True) if length]


def _drain_shard(client: SyncWalletClient, shard: int, drained: Drained, *, batch: int) -> None:
    start = "-"
    stuck = 0
    while True:
        with no_rebuild_meanwhile():
            if not try_lock_name(f"drain of shard {shard}"):
                # Another worker is at it, and this one goes on with the next.
                return
            found = client.read_events(shard, start=start, count=batch)
            booked = _book_batch(found)
        note_last_use(booked)
        if booked:
            ids = [event.event_id for event in booked]
            parse_ok(client.ask(shards.ack(shard, ids)))
        drained.booked += len(booked)
        stuck += len(found) - len(booked)
        if len(found) < batch:
            break
        # Events that can't be booked stay first; continue after them.
        start = f"({found[-1][0].decode()}"
    if stuck:
        drained.stuck += stuck
        parse_ok(client.ask(shards.drained(shard)))


def _book_batch(found: list[tuple[bytes, Fields]]) -> list[Event]:
    """Book what can be booked of a batch. Returns the booked events."""
    return _book_all([event for event in (_parse(item) for item in found) if event is not None])


def _book_all(events: list[Event]) -> list[Event]:
    """Book events in one transaction; if that fails, each half in its own, down to one event.

    An event that can't be booked stays first in its shard, so every sweep meets it: in a batch of
    1,000 it costs 20 transactions.
    """
    try:
        with transaction.atomic():
            book(events)
            # Here, where one event is told from another; at the commit, all would be refused.
            check_now()
    except (OperationalError, InterfaceError):
        # PostgreSQL's trouble, not the events': they wait for the next sweep.
        raise
    except (DatabaseError, BillingError) as error:
        if len(events) == 1:
            _report(events[0].event_id, events[0].reference, str(error))
            return []
        log.warning("batch_not_booked", events=len(events), error=str(error))
        half = len(events) // 2
        return _book_all(events[:half]) + _book_all(events[half:])
    return events


def _parse(item: tuple[bytes, Fields]) -> Event | None:
    try:
        return read_event(*item)
    except MalformedEvent as error:
        _report(item[0].decode(), item[1].get(b"ref", b"?").decode(errors="replace"), str(error))
        return None


def _report(event_id: str, reference: str, error: str) -> None:
    """File an event that can't be booked for staff; it stays in the stream."""
    log.error("event_not_booked", event_id=event_id, reference=reference, error=error)
    file_item(
        kind="event_not_booked",
        reference=reference[:120],
        summary=f"An event can't be booked: {error}",
    )
