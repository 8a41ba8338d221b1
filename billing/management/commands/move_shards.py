"""Move shards to the servers that REDIS_SHARDS names, from a shell."""

import sys
from pathlib import Path
from typing import Any

import redis
from celery import current_app
from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from kombu.exceptions import OperationalError

from accounts.desk.commands import RecordedCommand
from billing.exceptions import WalletRecovering
from billing.upkeep import homes
from billing.upkeep.recovery import recover
from billing.wallet import keys
from billing.wallet.address import MalformedAddress
from billing.wallet.node import Node
from billing.wallet.shard_map import name_of_node
from billing.wallet.sync_client import get_sync_client
from common.progress import LongCommand, shown_by

# How long a worker may take to answer: first it says that it lives, then what it knows.
LIVES_S, KNOWS_S = 1.0, 5.0


class Command(RecordedCommand, LongCommand):
    """Close each moved shard at its old server, rebuild it at the new one, empty the old one."""

    when_stopped = (
        "What was moved stays closed until it is rebuilt, by a worker with the new map or by this "
        "command: run it again. What it left at an old server is not read any more."
    )
    help = "Have the shards of Redis kept by the servers that REDIS_SHARDS names."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--old-url-file",
            metavar="FILE",
            help="A file with the URL of an old server that is neither REDIS_URL nor in "
            "REDIS_SHARDS any more, one a line; - reads standard input.",
        )
        parser.add_argument(
            "--old-is-gone",
            action="store_true",
            help="Old servers that do not answer are switched off for good or were restarted. "
            "If one serves on, wallets can be overdrawn.",
        )

    def handle(self, *, old_url_file: str | None, old_is_gone: bool, **options: Any) -> None:
        show = shown_by(self, verbosity=options["verbosity"])
        client = get_sync_client()
        strangers = homes.find_strangers(client)
        if not strangers:
            self.stdout.write("Every shard is where REDIS_SHARDS says.")
            return
        old = _find_nodes(_read_urls(old_url_file))
        _demand_workers_that_know()
        try:
            homes.move(strangers, old, are_others_gone=old_is_gone)
            show(f"{len(strangers)} shards are closed where they were, and rebuilt elsewhere")
            recover(on_progress=show)
        except WalletRecovering as error:
            raise CommandError(str(error)) from error
        for stranger in strangers:
            self._empty(stranger, old.get(stranger.home))
        self.stdout.write(f"Moved {len(strangers)} shards.")

    def _empty(self, stranger: homes.Stranger, node: Node | None) -> None:
        if node is None:
            return
        try:
            count = homes.empty(node, stranger.shard)
        except WalletRecovering:
            self.stderr.write(f"{node} does not answer: what it has of {stranger.shard} stays.")
        else:
            self.stdout.write(f"Shard {stranger.shard}: {count:,} keys deleted at {node}.")


def _demand_workers_that_know() -> None:
    """Refuse while a worker runs that would open a moved shard again at its old server."""
    try:
        alive = len(_ask_workers("ping", within_s=LIVES_S))
        know = len(_ask_workers("opens_at_home", within_s=KNOWS_S, most=alive)) if alive else 0
    except (OperationalError, redis.RedisError) as error:
        raise CommandError("The broker does not answer, so nobody knows who works.") from error
    if know < alive:
        raise CommandError(
            f"Of {alive} workers, {alive - know} do not say that they know where shards are at "
            "home: they are of an older version, or hang. Restart them, then run this again."
        )


def _ask_workers(command: str, *, within_s: float, most: int | None = None) -> list[Any]:
    """Return what workers answer: one whose version has no such command answers with an error."""
    # One from the pool may have ended since it was used.
    with current_app.connection_for_write() as connection:
        replies = current_app.control.broadcast(
            command, reply=True, timeout=within_s, limit=most, connection=connection
        )
    return [one for reply in replies or [] for one in reply.values() if "ok" in one]


def _read_urls(name: str | None) -> list[str]:
    if name is None:
        return []
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
    except OSError as error:
        raise CommandError(f"{name} can't be read: {error}") from error
    return text.split()


def _find_nodes(urls: list[str]) -> dict[str, Node]:
    """Return every server that is known, by name."""
    default = settings.REDIS_URL
    try:
        nodes = [
            Node(url, name=name_of_node(url, default=default), shards=range(keys.SHARDS))
            for url in (default, *urls)
        ]
    except MalformedAddress as error:
        raise CommandError(f"A URL of the file {error}.") from error
    return {node.name: node for node in [*nodes, *get_sync_client().nodes]}
