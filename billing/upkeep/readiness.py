"""Find out whether the wallets can be used now, and if not, why."""

from dataclasses import dataclass

import redis
from django.db import DatabaseError

from billing.exceptions import UnsafeRedis, WalletRecovering
from billing.upkeep.homes import Stranger, find_strangers
from billing.wallet import keys
from billing.wallet.client import backlog_limit
from billing.wallet.commands import shards
from billing.wallet.commands.shards import Backlog
from billing.wallet.node import Node
from billing.wallet.sync_client import get_sync_client

SILENT = "Redis does not answer"


@dataclass(frozen=True, slots=True)
class WalletLoad:
    """What is under way in the shards of the servers that serve, and how many others don't."""

    events: int
    oldest_event_ms: int
    holds: int
    closed_shards: dict[str, int]


def read_wallet_load() -> WalletLoad:
    """Return what is under way. Raises WalletRecovering if no server serves."""
    client = get_sync_client()
    backlogs: list[Backlog] = []
    holds, closed, errors = 0, {}, []
    for node in client.nodes:
        try:
            found = read_backlogs(node)
            holds += _count_holds(node)
        except WalletRecovering as error:
            errors.append(error)
            closed[node.name] = _count_closed(node)
        else:
            closed[node.name] = 0
            backlogs += found
    if not backlogs:
        raise errors[0]
    return WalletLoad(
        events=sum(backlog.events for backlog in backlogs),
        oldest_event_ms=max(backlog.age_ms for backlog in backlogs),
        holds=holds,
        closed_shards=closed,
    )


def find_wallet_problem() -> str | None:
    """Return what keeps requests from being admitted, for the operator; None if nothing does.

    Nothing as long as one server admits those of its shards: to take a process from the edge
    because of one server of several would stop everybody.
    """
    problems: list[str] = []
    nodes = get_sync_client().nodes
    for node in nodes:
        if (problem := _find_problem(node)) is None:
            return None
        problems.append(problem if len(nodes) == 1 else f"{node}: {problem}")
    return "; ".join(problems)


def read_backlogs(node: Node) -> list[Backlog]:
    """Return how far the drain is behind, by shard. Raises WalletRecovering."""
    replies = node.ask_many([shards.backlog(shard) for shard in node.shards])
    return [shards.parse_backlog(reply) for reply in replies]


def _find_problem(node: Node) -> str | None:
    try:
        backlogs = read_backlogs(node)
    except WalletRecovering as error:
        # One that hangs is not asked again: somebody may wait for this.
        is_silent = isinstance(error.__cause__, redis.TimeoutError)
        return SILENT if is_silent else _why_closed(node)
    limit = backlog_limit()
    for backlog in backlogs:
        if backlog.events > limit.events or backlog.age_ms > limit.age_ms:
            return (
                f"the ledger is behind: {backlog.events} charges of one shard wait to be booked, "
                f"the oldest for {backlog.age_ms // 1_000} s"
            )
    return None


def _count_holds(node: Node) -> int:
    pipeline = node.redis.pipeline(transaction=False)
    for shard in node.shards:
        pipeline.zcard(keys.leases(shard))
    with node.reaching():
        return sum(pipeline.execute())


def _count_closed(node: Node) -> int:
    try:
        return len(node.closed_shards())
    except WalletRecovering:
        return len(node.shards)


def _why_closed(node: Node) -> str:
    try:
        node.demand_safe_server()
    except UnsafeRedis as error:
        return str(error)
    except WalletRecovering:
        return SILENT
    if strangers := [one for one in _strangers() if one.shard in node.shards]:
        return f"{strangers[0]}: see manage.py move_shards"
    return "the wallets are being rebuilt"


def _strangers() -> list[Stranger]:
    try:
        return find_strangers(get_sync_client())
    except DatabaseError:
        # The database's own check tells.
        return []
