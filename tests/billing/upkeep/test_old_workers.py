"""Shards are moved only once no worker is left that would open them where they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from celery.contrib.testing.worker import start_worker
from celery.worker.control import Panel
from django.core.management import call_command
from django.core.management.base import CommandError

from billing.models import ShardHome, Wallet
from billing.wallet.sync_client import SyncWalletClient
from tests.till import Till
from tokenproxy_site.celery import app

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def moved(redis_wallets: SyncWalletClient, till: Till) -> None:
    """A shard that the map puts elsewhere than where it is at home."""
    at = Wallet.objects.get().created_at
    app.loader.import_default_modules()
    ShardHome.objects.create(shard=3, node="redis-that-was:6379/0", moved_at=at)


@contextmanager
def working() -> Iterator[None]:
    """Run a worker in a thread, which answers through the broker."""
    with start_worker(app, pool="solo", perform_ping_check=False, shutdown_timeout=60):
        yield


def home() -> str:
    return ShardHome.objects.get(shard=3).node


@pytest.mark.usefixtures("moved")
def test_nothing_is_moved_while_a_worker_knows_no_homes(monkeypatch: pytest.MonkeyPatch) -> None:
    # As of an older version, which has no such command.
    monkeypatch.delitem(Panel.data, "opens_at_home")

    with working(), pytest.raises(CommandError, match="Of 1 workers, 1 do not say"):
        call_command("move_shards", "--old-is-gone")

    assert home() == "redis-that-was:6379/0"


@pytest.mark.usefixtures("moved")
def test_shards_are_moved_while_workers_run_that_know_homes() -> None:
    with working():
        call_command("move_shards", "--old-is-gone")

    assert home() == "REDIS_URL"
