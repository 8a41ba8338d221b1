"""What an operator is told of the wallets."""

import json
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from billing.tasks.wallet import drain_events, recover_wallets
from billing.upkeep.readiness import find_wallet_problem
from tests.billing.wallet.faults import RedisFaults
from tests.caches import cache_away
from tests.till import Till

pytestmark = pytest.mark.django_db(transaction=True)


def test_there_is_nothing_to_tell_of_open_wallets(till: Till) -> None:
    assert find_wallet_problem() is None


def test_it_tells_of_a_rebuild(till: Till, faults: RedisFaults) -> None:
    faults.flush()

    assert find_wallet_problem() == "the wallets are being rebuilt"


def test_it_tells_of_a_server_without_our_library(till: Till) -> None:
    till.client.redis.execute_command("FUNCTION", "FLUSH")

    assert find_wallet_problem() == "the wallets are being rebuilt"


def test_it_tells_of_a_server_that_is_away(till: Till, faults: RedisFaults) -> None:
    faults.server.kill()
    try:
        problem = find_wallet_problem()
    finally:
        faults.server.start()

    assert problem == "Redis does not answer"


def test_it_tells_why_a_server_is_not_used(till: Till, faults: RedisFaults) -> None:
    faults.flush()
    till.client.redis.config_set("maxmemory-policy", "volatile-lru")
    try:
        assert recover_wallets() is None
        problem = find_wallet_problem()
    finally:
        till.client.redis.config_set("maxmemory-policy", "noeviction")

    assert problem == "Redis' maxmemory-policy is volatile-lru: it must be noeviction."


def test_a_worker_recovers_while_its_cache_is_away(
    till: Till, faults: RedisFaults, settings: Any
) -> None:
    faults.flush()
    with cache_away(settings):
        recovered = recover_wallets()

    assert recovered
    assert find_wallet_problem() is None


def test_it_tells_how_far_the_ledger_is_behind(till: Till, settings: Any) -> None:
    settings.WALLET_BACKLOG_EVENTS = 1
    till.grant(100)
    for name in ("r1", "r2"):
        till.place(name, 10)
        till.settle(name, 10)

    before = find_wallet_problem()
    drain_events()

    assert before is not None
    assert "2 charges of one shard wait" in before
    assert find_wallet_problem() is None


def test_readyz_says_it(till: Till, faults: RedisFaults, client: Client) -> None:
    cache.clear()
    recover_wallets()
    ready = client.get("/readyz")
    faults.flush()
    recovering = client.get("/readyz")

    assert (ready.status_code, recovering.status_code) == (200, 503)
    assert json.loads(recovering.content)["wallet"] == "the wallets are being rebuilt"
