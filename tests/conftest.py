"""What every test may use: people, open wallets, and a clean Redis."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings

from accounts.models import User
from billing.services.wallets import get_wallet
from billing.wallet import keys, restoring
from billing.wallet.sync_client import SyncWalletClient, get_sync_client


@pytest.fixture
def redis_wallets() -> Iterator[SyncWalletClient]:
    """An empty Redis whose fences are open, as a worker leaves it."""
    client = get_sync_client()
    client.redis.flushall()
    client.load_library()
    for shard in range(keys.SHARDS):
        client.ask(restoring.open_fence(shard, epoch=uuid.uuid4().hex))
    yield client
    client.redis.flushall()


@pytest.fixture
def journal_dir(settings: LazySettings, tmp_path: Path) -> Path:
    """An empty folder for journals, known to the settings."""
    settings.JOURNAL_DIR = tmp_path / "journal"
    return tmp_path / "journal"


def person(name: str) -> User:
    user = User.objects.create_user(f"{name}@example.com", "correct horse battery")
    get_wallet(user)
    return user


@pytest.fixture
def alice(db: None, redis_wallets: SyncWalletClient) -> User:
    """A customer."""
    return person("alice")


@pytest.fixture
def bob(db: None, redis_wallets: SyncWalletClient) -> User:
    """Another customer, who must see nothing of Alice's."""
    return person("bob")
