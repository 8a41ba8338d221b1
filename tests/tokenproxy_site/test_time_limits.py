"""What waits for PostgreSQL waits within limits, which differ by process."""

import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

from accounts.models import User
from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import LedgerEntry, Wallet
from devstack.environment import ROOT

LIMITS = ("DATABASE_LOCK_TIMEOUT_S", "DATABASE_STATEMENT_TIMEOUT_S")


@contextmanager
def locked(wallet: Wallet) -> Iterator[None]:
    """Lock a wallet's row in another connection."""
    is_locked, is_over = threading.Event(), threading.Event()

    def lock() -> None:
        try:
            with transaction.atomic():
                Wallet.objects.select_for_update().get(pk=wallet.pk)
                is_locked.set()
                is_over.wait(60)
        finally:
            connection.close()

    thread = threading.Thread(target=lock)
    thread.start()
    assert is_locked.wait(60)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def show(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        (value,) = cursor.fetchone()
    return str(value)


@pytest.mark.django_db
def test_every_connection_has_both_limits() -> None:
    assert (show("lock_timeout"), show("statement_timeout")) == ("20s", "5min")


@pytest.mark.django_db(transaction=True)
def test_what_waits_for_a_lock_gives_up_and_changes_nothing(alice: User) -> None:
    wallet = wallet_of(alice)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
    try:
        with locked(wallet), pytest.raises(OperationalError, match="lock timeout"):
            grant_credits(wallet, credits=10, reason="a test")
        assert not LedgerEntry.objects.exists()

        # Nothing is left behind: once the lock is free, the same works.
        grant_credits(wallet, credits=10, reason="a test")
    finally:
        # The pool lends the connection to other tests.
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")

    assert LedgerEntry.objects.get().amount_credits == 10


@pytest.mark.parametrize(
    ("role", "given", "limits"),
    [
        ("web", {}, ["5", "30"]),
        ("web", {"DATABASE_LOCK_TIMEOUT_S": "7"}, ["7", "30"]),
        ("worker", {}, ["", ""]),
        ("migrate", {"DATABASE_STATEMENT_TIMEOUT_S": "300"}, ["10", "0"]),
    ],
)
def test_each_process_is_started_with_its_own(
    tmp_path: Path, role: str, given: dict[str, str], limits: list[str]
) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$DATABASE_LOCK_TIMEOUT_S,$DATABASE_STATEMENT_TIMEOUT_S"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    environ = {name: value for name, value in os.environ.items() if name not in LIMITS}
    environ |= given | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    started = subprocess.run(
        [ROOT / "deploy/run", role], env=environ, capture_output=True, text=True, check=True
    )

    assert started.stdout.strip().split(",") == limits
