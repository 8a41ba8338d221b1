"""Book what Redis decided: stream events become usage records, ledger entries and lots.

One batch is one transaction; only after its commit are the events acknowledged, and only that
reduces `pend`. A batch that is read twice, or by two workers at once, books nothing twice: a
usage record is known by its request, a debit by its row.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from django.db import DatabaseError, transaction

from billing.exceptions import BillingError
from billing.models import InboxItem
from billing.services.bookings import book
from billing.wallet import calls, keys
from billing.wallet.events import Event, MalformedEvent, read_event
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

log = structlog.get_logger(__name__)

BATCH = 1_000


@dataclass
class Drained:
    """How many events were booked, and how many could not be and wait for a person."""

    booked: int = 0
    stuck: int = 0


def drain(shards: Iterable[int] = range(keys.SHARDS)) -> Drained:
    """Book every event that waits. Safe to repeat and to run at once. Raises WalletRecovering."""
    client = get_sync_client()
    drained = Drained()
    for shard in _shards_with_events(client, list(shards)):
        _drain_shard(client, shard, drained)
    return drained


def _shards_with_events(client: SyncWalletClient, shards: list[int]) -> list[int]:
    pipeline = client.redis.pipeline(transaction=False)
    for shard in shards:
        pipeline.xlen(keys.events(shard))
    with client.reaching():
        lengths = pipeline.execute()
    return [shard for shard, length in zip(shards, lengths, strict=True) if length]


def _drain_shard(client: SyncWalletClient, shard: int, drained: Drained) -> None:
    start = "-"
    while True:
        with client.reaching():
            found = client.redis.xrange(keys.events(shard), min=start, count=BATCH)
        if not found:
            return
        booked = _book_batch(found)
        for first in range(0, len(booked), BATCH):
            calls.parse_ok(client.ask(calls.ack(shard, booked[first : first + BATCH])))
        drained.booked += len(booked)
        drained.stuck += len(found) - len(booked)
        if len(found) < BATCH:
            return
        # Events that can't be booked stay at the head; go on behind them.
        start = f"({found[-1][0].decode()}"


def _book_batch(found: list[tuple[bytes, dict[bytes, bytes]]]) -> list[str]:
    """Book a batch; if that fails, event by event. Returns the ids of what was booked."""
    events = [event for event in (_parse(item) for item in found) if event is not None]
    try:
        with transaction.atomic():
            book(events)
    except (DatabaseError, BillingError) as error:
        log.warning("batch_not_booked", events=len(events), error=str(error))
        return [event.event_id for event in events if _book_alone(event)]
    return [event.event_id for event in events]


def _book_alone(event: Event) -> bool:
    try:
        with transaction.atomic():
            book([event])
    except (DatabaseError, BillingError) as error:
        _report(event.event_id, event.reference, str(error))
        return False
    return True


def _parse(item: tuple[bytes, dict[bytes, bytes]]) -> Event | None:
    try:
        return read_event(*item)
    except MalformedEvent as error:
        _report(item[0].decode(), item[1].get(b"ref", b"?").decode(errors="replace"), str(error))
        return None


def _report(event_id: str, reference: str, error: str) -> None:
    """Tell staff of an event that can't be booked; it stays in the stream."""
    log.error("event_not_booked", event_id=event_id, reference=reference, error=error)
    InboxItem.objects.get_or_create(
        kind="event_not_booked",
        reference=reference[:120],
        defaults={"summary": f"An event can't be booked: {error}"[:300]},
    )
