"""Rebuild the wallets in Redis after it was restarted, replaced, rewound or flushed.

Until a shard is rebuilt its fence is closed and every command is answered RECOVERING. The order:
close, wait for the last lines of the journals, read them and what Redis has, take a snapshot of
PostgreSQL, write, open. Written are the wallets of which something was under way: only of these
PostgreSQL does not know everything. The others are loaded when they are asked for, or by
`loading.py`, whichever comes first.

Dying anywhere before the last step leaves the fence closed, and the next sweep starts anew. After a
restart or flush of Redis or the start of another rebuild, the remaining steps are refused, because
Redis knows the epoch of the present rebuild and refuses any other.
"""

import time
import uuid
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain

import structlog
from django.conf import settings

from billing.exceptions import UnsafeRedis, WalletRecovering
from billing.ledger.loads import Books, read_books
from billing.upkeep.homes import find_strangers
from billing.upkeep.rebuild_plan import (
    Journalled,
    Plan,
    plan_shard,
    split_by_shard,
    wallets_under_way,
)
from billing.upkeep.remains import Remains, read_remains
from billing.wallet import keys
from billing.wallet.commands import restoring
from billing.wallet.commands.command import Command
from billing.wallet.journal import read_all
from billing.wallet.node import Node
from billing.wallet.rebuild_barrier import only_rebuilder, rebuild_snapshot
from billing.wallet.sync_client import SyncWalletClient, each_apart, get_sync_client
from common.batches import batches
from common.progress import Progress, unseen

log = structlog.get_logger(__name__)

# How many commands go out in one round trip, and how many items in one command. A command of this
# size keeps Redis from its other work for a millisecond or two.
COMMAND_BATCH = 50
ITEM_BATCH = 200
# While Redis works on the commands of one shard, those of another are prepared. More would only
# wait for each other: Redis and Python do one thing at a time.
WRITERS = 2
WRITER = "rebuild-writer"
# A web process that placed a hold just before Redis died writes its journal line within this time.
# If it was stopped for longer, its hold is gone, and the request is charged what is available.
GRACE_S = 0.5


def recover(
    *,
    grace_s: float = GRACE_S,
    batch: int = COMMAND_BATCH,
    on_progress: Progress = unseen,
) -> list[int]:
    """Rebuild and open every closed shard. Returns those that were closed.

    `on_progress` is told of each step.

    Safe to repeat and concurrently: one worker does it, the others find nothing to do. Servers are
    rebuilt one after another, and one that can't be keeps none of the others from it.
    Raises WalletRecovering if a server is away, was lost again, or is not its shards' home. Raises
    UnsafeRedis if one may not be used; its shards are then closed until it may.
    """
    client = get_sync_client()
    recover_node = partial(_recover, client, grace_s=grace_s, batch=batch, on_progress=on_progress)
    return sorted(chain.from_iterable(each_apart(client.nodes, recover_node)))


def _recover(
    client: SyncWalletClient, node: Node, *, grace_s: float, batch: int, on_progress: Progress
) -> list[int]:
    """Rebuild and open the closed shards of one server."""
    _demand_safe_server(node)
    if node.has_library() and not node.closed_shards():
        return []
    with only_rebuilder() as is_mine:
        if not is_mine:
            return []
        with node.reaching():
            node.load_library()
        closed = node.closed_shards()
        if closed:
            _demand_homes(client, closed)
            _rebuild(client, closed, grace_s=grace_s, batch=batch, on_progress=on_progress)
    return closed


def _demand_safe_server(node: Node) -> None:
    """Close every shard of a server whose settings were changed so that it can lose holds.

    A wallet that was evicted would be pushed again, without its holds.
    """
    try:
        node.demand_safe_server()
    except UnsafeRedis:
        if node.has_library():
            node.ask_many([restoring.close(shard) for shard in node.shards])
        raise


def _demand_homes(client: SyncWalletClient, closed: list[int]) -> None:
    """Raise WalletRecovering if one of these shards is at home at another server."""
    strangers = [one for one in find_strangers(client) if one.shard in closed]
    if strangers:
        log.error("shard_not_at_home", shards=[one.shard for one in strangers])
        raise WalletRecovering(f"{strangers[0]}: see `manage.py move_shards`.")


def close_all() -> None:
    """Close every fence, so that `recover` rebuilds all wallets. Calls answer 503 meanwhile."""
    client = get_sync_client()
    for node in client.nodes:
        with node.reaching():
            node.load_library()
    client.ask_many([restoring.close(shard) for shard in range(keys.SHARDS)])


def _rebuild(
    client: SyncWalletClient,
    closed: list[int],
    *,
    grace_s: float,
    batch: int,
    on_progress: Progress,
) -> None:
    started = time.monotonic()
    epoch = uuid.uuid4().hex
    client.ask_many([restoring.begin(shard, epoch=epoch) for shard in closed])
    time.sleep(grace_s)
    journalled = split_by_shard(read_all(settings.JOURNAL_DIR))
    remains = busiest_first([read_remains(client, shard) for shard in closed], journalled)
    done: Counter[str] = Counter()

    def plan_shards() -> Iterator[Iterator[Command]]:
        for planned, found in enumerate(remains):
            booked = read_books(wallets_under_way(found, journalled[found.shard]))
            plan = plan_shard(
                found,
                journalled[found.shard],
                booked.wallets,
                lease_ms=settings.HOLD_LEASE_S * 1_000,
            )
            done.update(
                wallets=len(booked.wallets),
                events=len(found.events),
                holds_kept=len(plan.kept_holds),
                holds_put_back=len(plan.lost_holds),
            )
            step = f"shard {found.shard}: {len(booked.wallets):,} wallets to write"
            on_progress(step, done=planned, of=len(remains))
            yield _steps(plan, booked, epoch=epoch)

    with rebuild_snapshot():
        # After the beginning: a shard that was moved before is seen here, and one that is moved
        # later is closed under this rebuild.
        _demand_homes(client, closed)
        _write_all(client, plan_shards(), batch=batch)
    log.warning(
        "wallets_rebuilt",
        shards=len(closed),
        **done,
        seconds=round(time.monotonic() - started, 3),
    )


def busiest_first(remains: list[Remains], journalled: Mapping[int, Journalled]) -> list[Remains]:
    """Order shards by what was under way: those whom most are waiting for are opened first.

    A Redis that lost all knows of no holds any more, but the journals do.
    """

    def under_way(found: Remains) -> int:
        lines = journalled.get(found.shard)
        return len(found.events) + max(len(found.holds), len(lines.open) if lines else 0)

    return sorted(remains, key=under_way, reverse=True)


def _steps(plan: Plan, booked: Books, *, epoch: str) -> Iterator[Command]:
    yield from _forget(plan, epoch=epoch)
    yield from _restore(plan, epoch=epoch)
    held, open_ = plan.held(), plan.open()
    for some in batches(booked.wallets, ITEM_BATCH):
        rows = [
            (row, plan.pend.get(row.pk, 0), held.get(row.pk, 0), open_.get(row.pk, 0))
            for row in some
        ]
        yield restoring.wallets(plan.shard, rows, epoch=epoch)
    spent = chain.from_iterable(booked.spending.values())
    for api_keys in batches(plan.api_keys(spent).items(), ITEM_BATCH):
        yield restoring.api_keys(plan.shard, api_keys, epoch=epoch)
    yield restoring.open_fence(plan.shard, epoch=epoch)


def _forget(plan: Plan, *, epoch: str) -> Iterator[Command]:
    for ids in batches(plan.forgotten_events, ITEM_BATCH):
        yield restoring.forget(plan.shard, event_ids=ids, holds=[], epoch=epoch)
    for holds in batches(plan.forgotten_holds, ITEM_BATCH):
        yield restoring.forget(plan.shard, event_ids=[], holds=holds, epoch=epoch)


def _restore(plan: Plan, *, epoch: str) -> Iterator[Command]:
    for event_id, event in plan.corrected_events.items():
        yield restoring.correct_event(
            plan.shard,
            event_id,
            reference=event.reference,
            delta=event.delta,
            charged=event.charged,
            epoch=epoch,
        )
    lease_ms = settings.HOLD_LEASE_S * 1_000
    for registers in batches(plan.registers().items(), ITEM_BATCH):
        yield restoring.keep(plan.shard, registers, lease_ms=lease_ms, epoch=epoch)
    # After the kept registers: a request may have a kept register and a later raise that was lost.
    for lost in batches(plan.lost_holds.values(), ITEM_BATCH):
        yield restoring.holds(plan.shard, lost, epoch=epoch)


def _write_all(
    client: SyncWalletClient, shards_steps: Iterator[Iterator[Command]], *, batch: int
) -> None:
    """Write shards, each as soon as it is planned: while Redis works on one, the next is prepared.

    If one fails, none is begun any more; those under way end as they would alone.
    """
    under_way: deque[Future[None]] = deque()
    with ThreadPoolExecutor(WRITERS, thread_name_prefix=WRITER) as pool:
        try:
            for steps in shards_steps:
                under_way.append(pool.submit(_write, client, steps, batch=batch))
                # What waits is in memory.
                if len(under_way) > WRITERS:
                    under_way.popleft().result()
            while under_way:
                under_way.popleft().result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write(client: SyncWalletClient, steps: Iterator[Command], *, batch: int) -> None:
    for some in batches(steps, batch):
        for reply in client.ask_many(some):
            if reply[0] != b"OK":
                raise WalletRecovering("Redis was lost again, or another rebuild began.")
