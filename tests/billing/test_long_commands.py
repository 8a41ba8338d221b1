"""Commands that may take long can be stopped at any time, and say what to do next."""

import os
import pkgutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from pytest_django import Settings

from billing.audit.books import audit, audit_from
from billing.management import commands
from billing.models import ShardHome, Wallet
from billing.upkeep.recovery import close_all, recover
from billing.wallet.sync_client import SyncWalletClient, get_sync_client
from common.progress import STOPPED, LongCommand, Shown
from tests.till import Till
from tests.waiting import await_true

pytestmark = pytest.mark.django_db(transaction=True)

SIGNALS = pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["term", "int"])
WAITING = """
SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database
WHERE datname = current_database() AND relation = %s::regclass AND NOT granted
"""
# What each command waits for at a table that another has locked.
LOCKED = {
    "rebuild_wallet": ("billing_wallet", []),
    "audit_money": ("billing_wallet", []),
    "make_history": ("billing_ledgerentry", ["--records=100", "--wallets=3", "--days=2"]),
    "rebuild_roll_ups": ("billing_usagerecord", []),
}
# A tool of PostgreSQL's that does not end: what stands in for it begins a file and sleeps.
TOOLS = {"backup_books": "pg_dump", "restore_books": "pg_restore"}
# Tested where there are several servers.
ELSEWHERE = {"move_shards"}


@contextmanager
def locked(table: str, number: signal.Signals) -> Iterator[None]:
    """Lock a table, and send this process a signal once somebody waits for it."""
    is_locked, is_over = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                is_locked.set()
                await_true(lambda: _count_waiting(cursor, table) > 0, what="the command to wait")
                os.kill(os.getpid(), number)
                is_over.wait(60)
                cursor.execute("ROLLBACK")
        finally:
            connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_locked.wait(60)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _count_waiting(cursor: Any, table: str) -> int:
    cursor.execute(WAITING, [table])
    return int(cursor.fetchone()[0])


@SIGNALS
@pytest.mark.parametrize("name", LOCKED)
def test_a_command_that_is_stopped_says_what_is_next_and_runs_again(
    name: str, number: signal.Signals, redis_wallets: SyncWalletClient, till: Till
) -> None:
    table, options = LOCKED[name]
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(CommandError, match=r"^Stopped\. \w") as stopped, locked(table, number):
        call_command(name, *options)

    assert stopped.value.returncode == STOPPED
    assert signal.getsignal(signal.SIGTERM) == before
    assert Wallet.objects.count() == 1
    recover(grace_s=0)
    assert get_sync_client().open_shards() == set(range(16))
    if name != "make_history":
        call_command(name, *options)


@SIGNALS
def test_an_audit_that_is_stopped_says_with_which_shard_to_go_on(
    number: signal.Signals,
    redis_wallets: SyncWalletClient,
    till: Till,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recover(grace_s=0)

    # Each shard is a transaction of its own, and waits for nothing but the last one's locks.
    with (
        pytest.raises(CommandError, match=r"^Stopped\. .* Go on with --from-shard 2\.") as stopped,
        locked("billing_wallet", number),
    ):
        call_command("audit_money", from_shard=2)
    call_command("audit_money", from_shard=2)
    call_command("audit_money", from_shard=0)

    assert stopped.value.returncode == STOPPED
    said = capsys.readouterr().out
    assert "Every invariant holds from shard 2 on: 1 wallets" in said
    assert "Every invariant holds: 1 wallets" in said


def test_an_audit_by_shards_finds_what_the_whole_one_finds(
    redis_wallets: SyncWalletClient, till: Till, unchecked_books: None
) -> None:
    till.grant(100)
    recover(grace_s=0)
    Wallet.objects.update(posted_credits=99)

    whole = audit(pause_s=0)
    by_shard = dict(audit_from(0, pause_s=0))

    assert whole
    assert sorted(finding for found in by_shard.values() for finding in found) == whole
    assert list(by_shard) == list(range(16))


@SIGNALS
@pytest.mark.parametrize("name", TOOLS)
def test_a_copy_that_is_stopped_leaves_nothing_half_done(
    name: str, number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools, files = tmp_path / "tools", tmp_path / "files"
    tools.mkdir()
    files.mkdir()
    tool = tools / TOOLS[name]
    tool.write_text(f"#!/bin/sh\nkill -{number.value} {os.getpid()}\nexec sleep 60\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(connection.introspection, "table_names", lambda *_, **__: [])
    file = files / "books.dump"
    if name == "restore_books":
        file.write_bytes(b"a dump")
    there = sorted(files.iterdir())

    with pytest.raises(CommandError, match=r"^Stopped\. .* run it again") as stopped:
        call_command(name, str(file))

    assert stopped.value.returncode == STOPPED
    assert sorted(files.iterdir()) == there


@SIGNALS
def test_a_move_that_is_stopped_is_finished_by_the_next(
    number: signal.Signals, redis_wallets: SyncWalletClient, till: Till, settings: Settings
) -> None:
    ShardHome.objects.create(shard=3, node="redis-that-was:6379/0", moved_at=till.wallet.created_at)
    # Something is under way, so that the rebuild reads the wallet.
    till.grant(10)
    till.place("r1", 10)
    till.settle("r1", 10)
    close_all()

    with (
        pytest.raises(CommandError, match=r"Stopped\. .* run it again"),
        locked("billing_wallet", number),
    ):
        call_command("move_shards", "--old-is-gone")
    call_command("move_shards")

    recover(grace_s=0)
    assert get_sync_client().open_shards() == set(range(16))


def test_a_command_that_is_stopped_as_it_sends_a_statement_leaves_no_connection_busy() -> None:
    class Sending(LongCommand):
        when_stopped = "Run it again."

        def handle(self, *_: Any, **options: Any) -> None:
            # So psycopg leaves it that is interrupted between a statement and its answer.
            connection.ensure_connection()
            connection.connection.pgconn.send_query(b"SELECT pg_sleep(60)")
            raise KeyboardInterrupt

    with pytest.raises(CommandError, match=r"^Stopped\. Run it again\."):
        call_command(Sending())

    assert Wallet.objects.count() == 0


def test_every_command_that_shows_how_far_it_is_can_be_stopped() -> None:
    found = {
        module.name
        for module in pkgutil.iter_modules(commands.__path__)
        if issubclass(import_module(f"{commands.__name__}.{module.name}").Command, LongCommand)
    }

    assert found == LOCKED.keys() | TOOLS.keys() | ELSEWHERE


def test_what_is_left_is_reckoned_from_what_is_done_since_the_first_of_its_kind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    times = iter([100.0, 110.0, 130.0])
    monkeypatch.setattr("common.progress.time.monotonic", lambda: next(times))
    show = Shown(lines.append, began_at=90.0)

    show("customers")
    show("shard 0", done=0, of=4)
    show("shard 1", done=1, of=4)

    assert lines == [
        "   10.0 s  customers",
        "   20.0 s  shard 0",
        "   40.0 s  shard 1, about 60 s left",
    ]
