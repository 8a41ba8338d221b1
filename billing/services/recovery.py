"""Rebuild the wallets in Redis after it was restarted, replaced, rewound or flushed.

Until a shard is rebuilt its fence is closed and every call on it answers RECOVERING. What is true
is put together from three sources: PostgreSQL (what is booked), Redis as it came back (events and
holds, maybe older than they should be, maybe none) and the journals of the web processes (what
they started and ended). Then, per wallet:

    base = posted      pend = events not booked      held = requests started and not ended

Settlements that Redis forgot are sent again once the fence is open; their holds were put back
before, so nobody else can have spent them.
"""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import structlog
from django.conf import settings
from django.db import connection, transaction

from billing.exceptions import WalletError, WalletRecovering
from billing.journal import JournalContents, read_all
from billing.models import Debit, Wallet
from billing.services.adoption import booked_requests, is_booked, settle_late
from billing.usage import RequestFacts, Settlement
from billing.wallet import calls, keys, restoring
from billing.wallet.calls import Call
from billing.wallet.events import Event, MalformedEvent, read_event
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

log = structlog.get_logger(__name__)

Other = TypeVar("Other")

# pg_advisory_lock's two numbers: "tp" and this use of it.
LOCK = (0x7470, 1)
BATCH = 1_000
# A web process that placed a hold just before Redis died writes its journal line within this.
GRACE_S = 0.5


@dataclass
class Shard:
    """What a closed shard of Redis still knows, and what has to change in it."""

    number: int
    pend: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    settled: set[str] = field(default_factory=set)
    open_holds: dict[str, tuple[int, int]] = field(default_factory=dict)
    forgotten_events: list[str] = field(default_factory=list)
    forgotten_holds: list[str] = field(default_factory=list)
    restoring: list[Call] = field(default_factory=list)


def recover() -> list[int]:
    """Rebuild and open every shard that is closed. Returns which were.

    Safe to repeat and to run at once: one worker does it, the others find nothing to do.
    Raises WalletRecovering if Redis is still away.
    """
    client = get_sync_client()
    if not _closed_shards(client):
        return []
    with _only_one() as is_mine:
        if not is_mine:
            return []
        with client.reaching():
            client.load_library()
        closed = _closed_shards(client)
        if closed:
            _rebuild(client, closed)
    return closed


def close_all() -> None:
    """Close every fence, so that `recover` rebuilds all wallets. Calls answer 503 meanwhile."""
    client = get_sync_client()
    with client.reaching():
        client.load_library()
    for shard in range(keys.SHARDS):
        client.ask(restoring.close(shard))


def _closed_shards(client: SyncWalletClient) -> list[int]:
    shards = list(range(keys.SHARDS))
    try:
        replies = client.ask_many([calls.status(shard) for shard in shards])
    except WalletRecovering:
        # Away, or without our library: the ping tells which.
        with client.reaching():
            client.redis.ping()
        return shards
    return [shard for shard, reply in zip(shards, replies, strict=True) if reply[0] != b"OK"]


@contextmanager
def _only_one() -> Iterator[bool]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK)
        is_mine = bool(cursor.fetchone()[0])
    try:
        yield is_mine
    finally:
        if is_mine:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", LOCK)


def _rebuild(client: SyncWalletClient, closed: list[int]) -> None:
    started = time.monotonic()
    time.sleep(GRACE_S)
    journals = read_all(settings.JOURNAL_DIR)
    shards = [_read_shard(client, number) for number in closed]
    unsettled: list[tuple[RequestFacts, Settlement]] = []
    # One snapshot: what is committed after it is pushed with a newer version, or found again in
    # the stream and recognised as booked.
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        wallets = list(Wallet.objects.order_by("pk"))
        for shard, events in shards:
            unsettled += _reconcile(shard, events, journals)
    for shard, _ in shards:
        _write_shard(client, shard, [w for w in wallets if keys.shard_of(w.pk) == shard.number])
    for facts, settlement in unsettled:
        settle_late(client, facts, settlement, journals)
    log.warning(
        "wallets_rebuilt",
        shards=len(closed),
        wallets=len(wallets),
        events=sum(len(events) for _, events in shards),
        holds=sum(len(shard.open_holds) for shard, _ in shards),
        settled_again=len(unsettled),
        seconds=round(time.monotonic() - started, 3),
    )


def _read_shard(client: SyncWalletClient, number: int) -> tuple[Shard, list[Event]]:
    shard = Shard(number)
    with client.reaching():
        found = client.redis.xrange(keys.events(number))
        members = [m.decode() for m in client.redis.zrange(keys.leases(number), 0, -1)]
        pipeline = client.redis.pipeline(transaction=False)
        for request_id in members:
            pipeline.hmget(f"{keys.prefix(number)}:hold:{request_id}", "s", "w", "a")
        registers = pipeline.execute()
    for request_id, (state, owner, amount) in zip(members, registers, strict=True):
        if state == b"open":
            shard.open_holds[request_id] = (int(owner), int(amount))
        else:
            shard.forgotten_holds.append(request_id)
    return shard, [event for event in map(_parse, found) if event is not None]


def _parse(item: tuple[bytes, dict[bytes, bytes]]) -> Event | None:
    try:
        return read_event(*item)
    except MalformedEvent:
        # The drain reports it to staff; here it has no amount that could be trusted.
        log.exception("malformed_event", event_id=item[0].decode())
        return None


def _reconcile(
    shard: Shard, events: list[Event], journals: JournalContents
) -> list[tuple[RequestFacts, Settlement]]:
    """Work out pend and held. Returns the settlements that have to be sent again."""
    ended = _of_shard(shard, journals.ended)
    started = _of_shard(shard, journals.held)
    booked = booked_requests(
        [event.reference for event in events if event.is_usage]
        + list(shard.open_holds)
        + list(ended)
        + list(started)
    )
    _keep_unbooked(shard, events, {ref: record.charged_credits for ref, record in booked.items()})
    for request_id in [*shard.open_holds]:
        # A hold without a journal line never had its upstream called: the line comes first. Redis
        # may have come back from before it was voided, so others may hold its credits by now.
        is_over = request_id in booked or request_id in journals.voided
        if is_over or request_id in shard.settled or request_id not in started:
            del shard.open_holds[request_id]
            shard.forgotten_holds.append(request_id)
    for request_id, (facts, amount) in started.items():
        is_over = request_id in booked or request_id in journals.voided
        if is_over or request_id in shard.settled or request_id in shard.open_holds:
            continue
        shard.open_holds[request_id] = (facts.wallet_id, amount)
        shard.restoring.append(
            restoring.hold(facts, amount=amount, lease_ms=settings.HOLD_LEASE_S * 1_000)
        )
    for wallet_id, amount in shard.open_holds.values():
        shard.held[wallet_id] += amount
    return [
        (facts, settlement)
        for request_id, (facts, settlement) in ended.items()
        if request_id not in shard.settled
        and not is_booked(booked, request_id, settlement.target_credits)
    ]


def _of_shard(
    shard: Shard, by_request: dict[str, tuple[RequestFacts, Other]]
) -> dict[str, tuple[RequestFacts, Other]]:
    return {
        request_id: value
        for request_id, value in by_request.items()
        if keys.shard_of(value[0].wallet_id) == shard.number
    }


def _keep_unbooked(shard: Shard, events: list[Event], charged: dict[str, int]) -> None:
    """Add up what the stream holds and PostgreSQL has not, and drop the rest of the stream."""
    booked_debits = _booked_debits(events)
    for event in events:
        if not event.is_usage:
            if event.reference in booked_debits:
                shard.forgotten_events.append(event.event_id)
            else:
                shard.pend[event.wallet_id] += event.delta
            continue
        known = charged.get(event.reference)
        delta = event.charged - (known or 0)
        if known is not None and delta <= 0:
            shard.forgotten_events.append(event.event_id)
            continue
        charged[event.reference] = event.charged
        shard.settled.add(event.reference)
        shard.pend[event.wallet_id] += delta
        if delta != event.delta:
            shard.forgotten_events.append(event.event_id)
            shard.restoring.append(restoring.event(event, delta=delta))


def _booked_debits(events: list[Event]) -> set[str]:
    ids = [int(event.reference.partition(":")[2]) for event in events if not event.is_usage]
    booked = Debit.objects.filter(pk__in=ids).exclude(booked_at=None)
    return {f"debit:{pk}" for pk in booked.values_list("pk", flat=True)}


def _write_shard(client: SyncWalletClient, shard: Shard, wallets: list[Wallet]) -> None:
    many = [
        restoring.forget(
            shard.number, event_ids=shard.forgotten_events, holds=shard.forgotten_holds
        ),
        *shard.restoring,
        *(
            restoring.wallet(wallet, pend=shard.pend[wallet.pk], held=shard.held[wallet.pk])
            for wallet in wallets
        ),
    ]
    for first in range(0, len(many), BATCH):
        for reply in client.ask_many(many[first : first + BATCH]):
            if reply[0] != b"OK":
                raise WalletError(f"Shard {shard.number} was opened by another recovery.")
    client.ask(restoring.open_fence(shard.number, epoch=uuid.uuid4().hex))
