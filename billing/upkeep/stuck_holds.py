"""Holds that should be over and are not: what the reaper could not end, for a person."""

import time

from billing.ledger.inbox import file_item
from billing.upkeep.reaper import Due, end_due
from billing.wallet import keys
from billing.wallet.hashes import read_registers
from billing.wallet.node import Node
from billing.wallet.sync_client import SyncWalletClient, each_apart, get_sync_client
from common import money

# The reaper tries every five seconds.
STUCK_S = 600
# Of a shard at once. When many are stuck they have one cause, and the others are filed next.
MOST = 20


def file_stuck_holds() -> int:
    """File each hold whose lease ran out so long ago. Returns how many. Safe to repeat.

    Raises WalletRecovering, after the servers that can be asked.
    """
    client = get_sync_client()

    def file_node(node: Node) -> int:
        return sum(_file_shard(client, shard) for shard in node.shards)

    return sum(each_apart(client.nodes, file_node))


def end_hold(request_id: str, wallet_id: int) -> bool:
    """End one hold if its lease ran out, whatever keeps the others. Raises WalletRecovering."""
    client, shard = get_sync_client(), keys.shard_of(wallet_id)
    node = client.node_of(shard)
    with node.reaching():
        ends_at_ms = node.redis.zscore(keys.leases(shard), request_id)
    if ends_at_ms is None or ends_at_ms > time.time() * 1_000:
        return False
    [register] = read_registers(client, shard, [request_id])
    has_progress = register is not None and register.has_progress
    return end_due(client, [Due(request_id, wallet_id, has_progress)]) == 1


def _file_shard(client: SyncWalletClient, shard: int) -> int:
    latest_ms = int((time.time() - STUCK_S) * 1_000)
    node = client.node_of(shard)
    with node.reaching():
        found = node.redis.zrangebyscore(keys.leases(shard), "-inf", latest_ms, start=0, num=MOST)
    request_ids = [member.decode() for member in found]
    for request_id, register in zip(
        request_ids, read_registers(client, shard, request_ids), strict=True
    ):
        held = register.amount if register else 0
        file_item(
            kind="hold_stuck",
            reference=request_id,
            summary=f"A request that is over still holds {money.credits(held)} credits.",
            detail={
                "request": request_id,
                "wallet": register.wallet_id if register else None,
                "held_credits": held,
            },
        )
    return len(request_ids)
