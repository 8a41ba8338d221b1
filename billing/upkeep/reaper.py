"""End holds whose lease ran out because their process stopped extending it."""

import time
from dataclasses import dataclass

import structlog
from django.conf import settings

from billing.exceptions import UnknownHold
from billing.models import UsageRecord
from billing.token_classes import COUNTS
from billing.wallet import keys
from billing.wallet.commands import ending
from billing.wallet.commands.ending import Reaped
from billing.wallet.hashes import read_registers
from billing.wallet.journal import JournalContents, read_all
from billing.wallet.node import Node
from billing.wallet.sync_client import SyncWalletClient, each_apart, get_sync_client
from billing.wallet.usage import Settlement

log = structlog.get_logger(__name__)

BATCH = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A hold whose lease ran out. It may be alive again by the time it is reaped."""

    request_id: str
    wallet_id: int
    has_progress: bool


def reap(*, batch: int = BATCH) -> int:
    """End every hold whose lease ran out, at its last progress. Returns how many.

    Safe to repeat and concurrently: Redis checks the lease again. Raises WalletRecovering, after
    the servers that can be asked.
    """
    client = get_sync_client()

    def reap_node(node: Node) -> int:
        return sum(_reap_shard(client, shard, batch=batch) for shard in node.shards)

    return sum(each_apart(client.nodes, reap_node))


def abandoned(ended_at_ms: int) -> Settlement:
    """Return the settlement, at 0, of a request that no upstream is known to have been sent."""
    return Settlement(
        target_credits=0,
        outcome=UsageRecord.Outcome.ABANDONED,
        source=UsageRecord.Source.ESTIMATED,
        provider_name="",
        attempts=1,
        ended_at_ms=ended_at_ms,
        **dict.fromkeys(COUNTS, 0),
    )


def _reap_shard(client: SyncWalletClient, shard: int, *, batch: int) -> int:
    reaped = 0
    while due := _find_due(client, shard, most=batch):
        reaped += end_due(client, due)
        if len(due) < batch:
            break
    return reaped


def _find_due(client: SyncWalletClient, shard: int, *, most: int) -> list[Due]:
    now_ms = int(time.time() * 1_000)
    node = client.node_of(shard)
    with node.reaching():
        found = node.redis.zrangebyscore(keys.leases(shard), "-inf", now_ms, start=0, num=most)
        request_ids = [member.decode() for member in found]
    registers = read_registers(client, shard, request_ids)
    # A lease without a register names no wallet; any wallet of the shard will do to drop it.
    return [
        Due(request_id, register.wallet_id, register.has_progress)
        if register is not None
        else Due(request_id, shard, has_progress=False)
        for request_id, register in zip(request_ids, registers, strict=True)
    ]


def end_due(client: SyncWalletClient, due: list[Due]) -> int:
    """End these holds, at their last progress, and return how many were open."""
    at_zero = abandoned(int(time.time() * 1_000))
    needs_journals = any(not hold.has_progress for hold in due)
    journals = read_all(settings.JOURNAL_DIR) if needs_journals else JournalContents()
    many = [
        # The journal's line is written before the upstream is called: no line, no call.
        ending.reap(
            hold.wallet_id,
            hold.request_id,
            without_progress=journals.if_lost.get(hold.request_id, at_zero)
            if journals.has_begun(hold.request_id)
            else None,
        )
        for hold in due
    ]
    reaped = 0
    for hold, reply in zip(due, client.ask_many(many), strict=True):
        try:
            outcome = ending.parse_reap(reply)
        except UnknownHold:
            continue
        if outcome in {Reaped.SETTLED, Reaped.VOIDED}:
            reaped += 1
            log.warning("hold_reaped", request_id=hold.request_id, outcome=outcome.name)
    return reaped
