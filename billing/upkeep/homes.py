"""Which server may open a shard: PostgreSQL says it, so that two never serve one wallet.

Processes with another map of shards find a shard closed where it is not at home, and no worker
opens it there. `move` changes the home: it is noted first and the shard closed after, so a rebuild
that began at the old server before the note is refused by it, and one that begins later sees the
note.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from django.utils import timezone

from billing.exceptions import WalletRecovering
from billing.models import ShardHome
from billing.wallet import keys
from billing.wallet.commands import restoring
from billing.wallet.node import Node
from billing.wallet.shard_map import DEFAULT_NODE
from billing.wallet.sync_client import SyncWalletClient

log = structlog.get_logger(__name__)

SCAN = 1_000


@dataclass(frozen=True, slots=True)
class Stranger:
    """A shard that the map puts elsewhere than where it is at home."""

    shard: int
    home: str
    mapped: str

    def __str__(self) -> str:
        return f"shard {self.shard} is at home at {self.home}, REDIS_SHARDS says {self.mapped}"


def find_strangers(client: SyncWalletClient) -> list[Stranger]:
    """Return the shards that may not be opened where the map puts them."""
    homes = dict(ShardHome.objects.values_list("shard", "node"))
    mapped = {shard: client.node_of(shard).name for shard in range(keys.SHARDS)}
    return [
        Stranger(shard, homes.get(shard, DEFAULT_NODE), node)
        for shard, node in mapped.items()
        if node != homes.get(shard, DEFAULT_NODE)
    ]


def move(strangers: Iterable[Stranger], old: dict[str, Node], *, are_others_gone: bool) -> None:
    """Close shards at their old servers and let the mapped ones open them. Safe to repeat.

    `old` has the servers by name. Raises WalletRecovering, before it changes anything, if one is
    not there or does not answer, unless these `are_others_gone`: switched off for good, or
    restarted since.
    """
    many = list(strangers)
    if not are_others_gone:
        for name in sorted({stranger.home for stranger in many}):
            if name not in old:
                raise WalletRecovering(f"The address of the old server {name} was not given.")
            with old[name].reaching():
                old[name].redis.ping()
    for stranger in many:
        ShardHome.objects.update_or_create(
            shard=stranger.shard, defaults={"node": stranger.mapped, "moved_at": timezone.now()}
        )
        _close(old.get(stranger.home), stranger.shard, may_be_gone=are_others_gone)
        log.warning("shard_moved", shard=stranger.shard, old=stranger.home, new=stranger.mapped)


def empty(node: Node, shard: int) -> int:
    """Delete what a server has of a shard that is at home elsewhere. Returns how many keys."""
    deleted = 0
    with node.reaching():
        some: list[bytes] = []
        for name in node.redis.scan_iter(match=f"{keys.prefix(shard)}:*", count=SCAN):
            some.append(name)
            if len(some) == SCAN:
                deleted += node.redis.unlink(*some)
                some.clear()
        if some:
            deleted += node.redis.unlink(*some)
    return deleted


def _close(node: Node | None, shard: int, *, may_be_gone: bool) -> None:
    try:
        # Without our library, nothing of it is open.
        if node is not None and node.has_library():
            node.ask_many([restoring.close(shard)])
    except WalletRecovering:
        if not may_be_gone:
            raise
