"""One Redis server that keeps shards: its connections, its function library, its settings."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import redis
from django.conf import settings

from billing.exceptions import UnsafeRedis, WalletError, WalletRecovering
from billing.wallet import keys, library
from billing.wallet.address import open_redis
from billing.wallet.client import refusal
from billing.wallet.commands import shards
from billing.wallet.commands.command import Argument, Command, Reply, parse_ok
from common.waits import WAITS

# redis-py strips the words that `refusal` looks for from the messages of these errors.
NOT_NOW = (
    redis.ConnectionError,
    redis.TimeoutError,
    redis.ReadOnlyError,
    redis.OutOfMemoryError,
    redis.exceptions.ClusterDownError,
)


class Node:
    """A server and the shards that it keeps. Safe to use from many threads."""

    def __init__(self, url: str, *, name: str, shards: Sequence[int]) -> None:
        self.name = name
        self.shards = tuple(shards)
        # Any: redis-py leaves `execute_command`, which FCALL needs, without types.
        self.redis: Any = open_redis(
            url, protocol=2, socket_timeout=WAITS.redis_s, socket_connect_timeout=WAITS.redis_s
        )

    def __str__(self) -> str:
        return self.name

    def ask_many(self, many: list[Command]) -> list[Reply]:
        """Send commands in one round trip; each is atomic, the batch is not.

        Raises the first error.
        """
        return cast(list[Reply], whole(self.ask_each(many)))

    def ask_each(self, many: list[Command]) -> list[Reply | WalletError]:
        """Send commands in one round trip and return what became of each.

        Raises WalletRecovering if Redis is away or without our library.
        """
        replies = self._send([command.parts() for command in many])
        return [_checked(command, reply) for command, reply in zip(many, replies, strict=True)]

    def read_events(
        self, shard: int, *, start: str = "-", count: int
    ) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """Return events of an open shard, oldest first. Raises WalletRecovering if it is closed."""
        # In this order and over one connection, so that the server that answers is the open one.
        command = shards.status(shard)
        read = ("XRANGE", keys.events(shard), start, "+", "COUNT", count)
        replies = self._send([command.parts(), read])
        status, found = whole([_checked(command, reply) for reply in replies])
        parse_ok(status)
        return cast(list[tuple[bytes, dict[bytes, bytes]]], found)

    def ask_at_one_instant(
        self, command: Command, reads: list[tuple[Argument, ...]]
    ) -> tuple[Reply, list[Any]]:
        """Send a command and plain reads of the same shard in one transaction.

        Raises WalletRecovering if Redis is away or without our library.
        """
        replies = self._send([command.parts(), *reads], is_transaction=True)
        first, *rest = whole([_checked(command, reply) for reply in replies])
        return first, rest

    def closed_shards(self) -> list[int]:
        """Return the shards of this server that serve nothing. Raises WalletRecovering."""
        replies = self.ask_many([shards.status(shard) for shard in self.shards])
        return [
            shard for shard, reply in zip(self.shards, replies, strict=True) if reply[0] != b"OK"
        ]

    def _send(self, many: list[tuple[Argument, ...]], *, is_transaction: bool = False) -> list[Any]:
        pipeline = self.redis.pipeline(transaction=is_transaction)
        for parts in many:
            pipeline.execute_command(*parts)
        with self.reaching():
            replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Raise WalletRecovering if Redis is away."""
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise WalletRecovering(f"Redis can't be reached: {error}") from error

    def load_library(self) -> None:
        """Load the function library unless this server has it, or a newer one.

        Shards that are open stay so, if the library before hands them over: it must be ours, with
        the same layout of the keys. All others are closed, and a rebuild must follow.
        """
        if not self.has_library():
            self.replace_library(library.read_source())

    def replace_library(self, source: str) -> None:
        """Replace the library in one transaction, so that nothing happens in between."""
        attempt = uuid.uuid4().hex
        before = [shards.hand_over(shard, attempt=attempt).parts() for shard in self.shards]
        after = [shards.take_over(shard, attempt=attempt).parts() for shard in self.shards]
        load = ("FUNCTION", "LOAD", "REPLACE", source)
        replies = self._send([*before, load, *after], is_transaction=True)
        # What hands over and takes over may fail: then the fences are closed.
        loaded = replies[len(before)]
        if isinstance(loaded, Exception):
            raise loaded

    def has_library(self) -> bool:
        """Return whether this server has our library, or one that is preferred to it.

        A newer version is preferred. Of two sources with one version, every worker prefers the
        same; otherwise two workers would replace each other's for ever, closing every fence.
        """
        with self.reaching():
            loaded = self._loaded_source()
        source = library.read_source()
        return loaded is not None and library.rank(loaded) >= library.rank(source)

    def demand_safe_server(self) -> None:
        """Raise UnsafeRedis if this server could drop keys or keeps no append-only file.

        Whoever says that another keeps its data (REDIS_DURABILITY) may go without the file.
        Reads INFO, which is allowed where CONFIG is not. INFO does not report `appendfsync`.
        """
        with self.reaching():
            info = {**self.redis.info("memory"), **self.redis.info("persistence")}
        if info["maxmemory_policy"] != "noeviction":
            raise UnsafeRedis(
                f"Redis' maxmemory-policy is {info['maxmemory_policy']}: it must be noeviction."
            )
        if settings.REDIS_DURABILITY == "aof" and not info.get("aof_enabled"):
            raise UnsafeRedis(
                "Redis keeps no append-only file: set appendonly to yes, or REDIS_DURABILITY."
            )

    def _loaded_source(self) -> str | None:
        listed = cast(
            list[Any],
            self.redis.execute_command("FUNCTION", "LIST", "LIBRARYNAME", library.NAME, "WITHCODE"),
        )
        for loaded in listed:
            # A map in RESP3, which redis-py speaks by default; a flat list in RESP2.
            pairs = (
                loaded.items()
                if isinstance(loaded, dict)
                else zip(*[iter(loaded)] * 2, strict=True)
            )
            fields = {_text(name): value for name, value in pairs}
            if "library_code" in fields:
                return _text(fields["library_code"])
        return None


def whole(replies: list[Reply | WalletError]) -> list[Any]:
    """Return replies of which none is an error. Raises the first that is."""
    for reply in replies:
        if isinstance(reply, WalletError):
            raise reply
    return replies


def _checked(command: Command, reply: Any) -> Reply | WalletError:
    if isinstance(reply, NOT_NOW):
        raise WalletRecovering(f"Redis does not serve now: {reply}") from reply
    if isinstance(reply, Exception):
        error = refusal(command, str(reply))
        if isinstance(error, WalletRecovering):
            raise error from reply
        return error
    return cast(Reply, reply)


def _text(item: Any) -> str:
    return item.decode() if isinstance(item, bytes) else str(item)
