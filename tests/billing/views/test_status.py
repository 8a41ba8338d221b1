"""The status page, in customers' words."""

from pathlib import Path

import pytest
from django.test import Client

from billing.upkeep.sightings import note_worker
from billing.wallet.sync_client import SyncWalletClient
from tests.billing.views.conftest import HTMX


@pytest.fixture
def worker(redis_wallets: SyncWalletClient, journal_dir: Path) -> None:
    """A worker was seen just now."""
    note_worker(journal_dir)


def test_it_says_that_everything_works(as_charlie: Client, worker: None) -> None:
    page = as_charlie.get("/status/").content.decode()

    assert "Everything works" in page
    assert page.count(">Up<") == 3


def test_it_says_which_part_is_away_without_naming_what_is_inside(
    as_charlie: Client, worker: None, redis_wallets: SyncWalletClient
) -> None:
    redis_wallets.redis.flushall()

    answer = as_charlie.get("/status/", headers=HTMX)
    part = answer.content.decode()

    assert answer.status_code == 200
    assert "Something is being repaired" in part
    assert part.count(">Not now<") >= 1
    assert "Redis" not in part
    assert "<html" not in part
