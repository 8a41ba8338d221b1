"""What a closed shard of Redis still has: everything, an older state, or nothing."""

from dataclasses import dataclass

import structlog

from billing.wallet import keys
from billing.wallet.events import Amounts, MalformedEvent, read_amounts
from billing.wallet.hashes import read_registers
from billing.wallet.node import Node
from billing.wallet.sync_client import SyncWalletClient

log = structlog.get_logger(__name__)

BATCH = 10_000


@dataclass(frozen=True, slots=True)
class Remains:
    """The waiting events, the open holds, and the leases that have no open hold."""

    shard: int
    events: list[Amounts]
    # The credits that each hold keeps, by request.
    holds: dict[str, int]
    idle_leases: list[str]


def read_remains(client: SyncWalletClient, shard: int) -> Remains:
    """Read a closed shard. Raises WalletRecovering if Redis goes away."""
    node = client.node_of(shard)
    with node.reaching():
        events = _read_events(node, shard)
        request_ids = [m.decode() for m in node.redis.zrange(keys.leases(shard), 0, -1)]
    registers = read_registers(client, shard, request_ids)
    holds = {
        request_id: register.amount
        for request_id, register in zip(request_ids, registers, strict=True)
        if register is not None and register.is_open
    }
    return Remains(shard, events, holds, [r for r in request_ids if r not in holds])


def _read_events(node: Node, shard: int) -> list[Amounts]:
    events: list[Amounts] = []
    start = "-"
    while found := node.redis.xrange(keys.events(shard), min=start, count=BATCH):
        start = f"({found[-1][0].decode()}"
        for event_id, fields in found:
            try:
                events.append(read_amounts(event_id, fields))
            except MalformedEvent:
                # The library did not write it, so it moved nothing. The drain reports it to staff.
                log.exception("malformed_event", event_id=event_id.decode())
    return events
