"""A backup is taken under load, restored elsewhere, and adds up there."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from django.db import connection
from psycopg.sql import SQL, Identifier

from billing.models import LedgerEntry
from devstack.binaries import find_postgres
from devstack.environment import ROOT
from devstack.postgres import server_user
from devstack.valkey import Valkey
from tests.till import Till, in_a_thread

pytestmark = pytest.mark.django_db(transaction=True)


def manage(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as an operator does, with the tools of the server's version."""
    tools = find_postgres(server_user())
    environ = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"} | settings
    return subprocess.run(
        [sys.executable, ROOT / "manage.py", *arguments],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def url_of(database: str) -> str:
    place = connection.settings_dict | {"NAME": database}
    return "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**place)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """An empty database: its URL."""
    name = f"{connection.settings_dict['NAME']}_restored"
    with psycopg.connect(os.environ["DATABASE_URL"], dbname="postgres", autocommit=True) as server:
        server.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        yield url_of(name)
        server.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


@contextmanager
def spending(till: Till) -> Iterator[None]:
    """Book one request after the other meanwhile."""
    has_begun, is_over = threading.Event(), threading.Event()

    def spend() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            till.place(f"r{number}", 30)
            till.settle(f"r{number}", 12)
            till.drain()
            has_begun.set()

    thread = threading.Thread(target=lambda: in_a_thread(spend))
    thread.start()
    try:
        assert has_begun.wait(60)
        yield
    finally:
        is_over.set()
        thread.join()


# Six commands, each a process of its own: on a machine that others fill, 20 s each.
@pytest.mark.timeout(600)
def test_a_backup_under_load_adds_up_elsewhere(till: Till, elsewhere: str, tmp_path: Path) -> None:
    till.grant(1_000_000)
    file = tmp_path / "books.dump"
    with spending(till):
        before = LedgerEntry.objects.count()
        made = manage(
            "backup_books",
            str(file),
            "--verbosity=2",
            DATABASE_URL=url_of(connection.settings_dict["NAME"]),
        )
        after = LedgerEntry.objects.count()
    assert made.returncode == 0, made.stderr
    assert file.stat().st_mode & 0o077 == 0

    with Valkey(tmp_path / "valkey") as valkey:
        there = {
            "DATABASE_URL": elsewhere,
            "REDIS_URL": valkey.url,
            "JOURNAL_DIR": str(tmp_path / "journal"),
        }
        steps = [("restore_books", str(file), "--verbosity=2"), ("migrate",), ("rebuild_wallet",)]
        ran = [manage(*step, **there) for step in [*steps, ("audit_money", "--at-rest")]]

    assert [each.returncode for each in ran] == [0] * 4, [each.stderr for each in ran]
    assert "Every invariant holds: 1 wallets" in ran[-1].stdout
    with psycopg.connect(elsewhere) as server:
        row = server.execute("SELECT count(*) FROM billing_ledgerentry").fetchone()
    assert row is not None
    assert before <= row[0] <= after
    for said in (made.stderr, ran[0].stderr):
        assert "s  table billing_ledgerentry" in said


def test_neither_a_backup_nor_a_restore_overwrites_anything(till: Till, tmp_path: Path) -> None:
    here = {"DATABASE_URL": url_of(connection.settings_dict["NAME"])}
    file = tmp_path / "books.dump"
    file.write_bytes(b"kept")

    made, restored = (
        manage("backup_books", str(file), **here),
        manage("restore_books", str(file), **here),
    )

    assert (made.returncode, restored.returncode) == (1, 1)
    assert "exists already" in made.stderr
    assert "into an empty one" in restored.stderr
    assert file.read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == [file]


def test_a_damaged_file_restores_nothing(elsewhere: str, tmp_path: Path) -> None:
    file = tmp_path / "books.dump"
    file.write_bytes(b"PGDMP, but not really")

    restored = manage("restore_books", str(file), DATABASE_URL=elsewhere)

    assert restored.returncode == 1
    assert "pg_restore failed" in restored.stderr
    with psycopg.connect(elsewhere) as server:
        found = server.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        assert found.fetchone() == (0,)


def test_a_backup_that_fails_leaves_no_file(elsewhere: str, tmp_path: Path) -> None:
    wrong = elsewhere.replace(f":{connection.settings_dict['PASSWORD']}@", ":wrong@")
    file = tmp_path / "books.dump"

    made = manage("backup_books", str(file), DATABASE_URL=wrong)

    assert made.returncode == 1
    assert list(tmp_path.iterdir()) == []
    assert connection.settings_dict["PASSWORD"] not in made.stderr
