"""Find out whether the wallets can be used now, and if not, why."""

from dataclasses import dataclass

import redis

from billing.exceptions import UnsafeRedis, WalletRecovering
from billing.wallet import keys
from billing.wallet.client import backlog_limit
from billing.wallet.commands import shards
from billing.wallet.commands.shards import Backlog
from billing.wallet.sync_client import SyncWalletClient, get_sync_client

SILENT = "Redis does not answer"


@dataclass(frozen=True, slots=True)
class WalletLoad:
    """What is under way in Redis, over all shards."""

    events: int
    oldest_event_ms: int
    holds: int


def read_wallet_load() -> WalletLoad:
    """Return what is under way. Raises WalletRecovering."""
    client = get_sync_client()
    backlogs = read_backlogs(client)
    pipeline = client.redis.pipeline(transaction=False)
    for shard in range(keys.SHARDS):
        pipeline.zcard(keys.leases(shard))
    with client.reaching():
        holds: list[int] = pipeline.execute()
    return WalletLoad(
        events=sum(backlog.events for backlog in backlogs),
        oldest_event_ms=max(backlog.age_ms for backlog in backlogs),
        holds=sum(holds),
    )


def find_wallet_problem() -> str | None:
    """Return what keeps requests from being admitted, for the operator; None if nothing does."""
    client = get_sync_client()
    try:
        backlogs = read_backlogs(client)
    except WalletRecovering as error:
        # One that hangs is not asked again: somebody may wait for this.
        is_silent = isinstance(error.__cause__, redis.TimeoutError)
        return SILENT if is_silent else _why_closed(client)
    limit = backlog_limit()
    for backlog in backlogs:
        if backlog.events > limit.events or backlog.age_ms > limit.age_ms:
            return (
                f"the ledger is behind: {backlog.events} charges of one shard wait to be booked, "
                f"the oldest for {backlog.age_ms // 1_000} s"
            )
    return None


def read_backlogs(client: SyncWalletClient) -> list[Backlog]:
    """Return how far the drain is behind, by shard. Raises WalletRecovering."""
    replies = client.ask_many([shards.backlog(shard) for shard in range(keys.SHARDS)])
    return [shards.parse_backlog(reply) for reply in replies]


def _why_closed(client: SyncWalletClient) -> str:
    try:
        client.demand_safe_server()
    except UnsafeRedis as error:
        return str(error)
    except WalletRecovering:
        return SILENT
    return "the wallets are being rebuilt"
