"""The wallet as pages, sweeps and commands use it: synchronous, over redis-py's pools.

Each command goes to the server that keeps its shard.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from typing import Any, TypeVar, cast

from django.conf import settings

from billing.exceptions import WalletError, WalletRecovering
from billing.wallet.commands import figures
from billing.wallet.commands.command import Argument, Command, Reply
from billing.wallet.commands.figures import Balance
from billing.wallet.node import Node, whole
from billing.wallet.shard_map import name_of_node

Item = TypeVar("Item")
Result = TypeVar("Result")


class SyncWalletClient:
    """Reads, pushes, reaps, debits and acknowledges. Safe to use from many threads."""

    def __init__(self, urls: tuple[str, ...], *, default: str) -> None:
        """Of each shard, the URL of its server."""
        shards: dict[str, list[int]] = {}
        for shard, url in enumerate(urls):
            shards.setdefault(url, []).append(shard)
        self.nodes = [
            Node(url, name=name_of_node(url, default=default), shards=some)
            for url, some in shards.items()
        ]
        self._node_of = {shard: node for node in self.nodes for shard in node.shards}

    def node_of(self, shard: int) -> Node:
        """Return the server that keeps a shard."""
        return self._node_of[shard]

    @property
    def redis(self) -> Any:
        """redis-py's client of the one server. Raises ValueError if there are several."""
        (node,) = self.nodes
        return node.redis

    def ask(self, command: Command) -> Reply:
        """Send one command. Raises WalletRecovering if Redis is away or without our library."""
        return self.ask_many([command])[0]

    def ask_many(self, many: list[Command]) -> list[Reply]:
        """Send commands, in one round trip to each server; each is atomic, the batch is not.

        Raises the first error.
        """
        return cast(list[Reply], whole(self.ask_each(many)))

    def ask_each(self, many: list[Command]) -> list[Reply | WalletError]:
        """Send commands, in one round trip to each server, and return what became of each.

        WalletRecovering, if its server is away or without our library.
        """
        places: dict[Node, list[int]] = {}
        for place, command in enumerate(many):
            places.setdefault(self._node_of[command.shard], []).append(place)
        replies: dict[int, Reply | WalletError] = {}
        for node, some in places.items():
            try:
                found = node.ask_each([many[place] for place in some])
            except WalletRecovering as error:
                found = [error] * len(some)
            replies.update(zip(some, found, strict=True))
        return [replies[place] for place in range(len(many))]

    def read_events(
        self, shard: int, *, start: str = "-", count: int
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Return events of an open shard, oldest first. Raises WalletRecovering if it is closed."""
        return self._node_of[shard].read_events(shard, start=start, count=count)

    def ask_at_one_instant(
        self, command: Command, reads: list[tuple[Argument, ...]]
    ) -> tuple[Reply, list[Any]]:
        """Send a command and plain reads of the same shard in one transaction.

        Raises WalletRecovering if Redis is away or without our library.
        """
        return self._node_of[command.shard].ask_at_one_instant(command, reads)

    def read_balance(self, wallet_id: int) -> Balance:
        """Return a wallet's figures. Raises WalletMissing, WalletRecovering."""
        return figures.parse_read(self.ask(figures.read(wallet_id)))

    def open_shards(self) -> set[int]:
        """Return the shards that serve now."""
        found: set[int] = set()
        for node in self.nodes:
            with suppress(WalletRecovering):
                found |= set(node.shards) - set(node.closed_shards())
        return found

    def load_library(self) -> None:
        """Load the function library into every server, as `Node.load_library` does."""
        for node in self.nodes:
            node.load_library()


def each_apart(many: Iterable[Item], do: Callable[[Item], Result]) -> list[Result]:
    """Do something for each; one whose shard is closed keeps none of the others waiting.

    Raises the first WalletRecovering, after the last.
    """
    results, closed = [], []
    for item in many:
        try:
            results.append(do(item))
        except WalletRecovering as error:
            closed.append(error)
    try:
        if closed:
            raise closed[0]
    finally:
        # An error that its own traceback refers to keeps what failed open: cursors, generators.
        closed.clear()
    return results


@cache
def client_for(urls: tuple[str, ...], default: str) -> SyncWalletClient:
    """Return this process's client for these servers."""
    return SyncWalletClient(urls, default=default)


def get_sync_client() -> SyncWalletClient:
    """Return this process's client."""
    return client_for(settings.REDIS_SHARDS, settings.REDIS_URL)
