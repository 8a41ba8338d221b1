"""When nothing may be admitted: the API, and what `/readyz` says of it."""

from typing import Any

import httpx
import pytest
from django.test import Client

from billing.tasks.wallet import recover_wallets
from billing.upkeep.drain import drain
from billing.upkeep.recovery import recover
from billing.wallet.sync_client import SyncWalletClient
from proxy.database import in_database
from tests.proxy.conftest import Api, Customer, assert_envelope


async def wallet_problem() -> str | None:
    """Return what `/readyz` has to say of the wallets."""
    said = await in_database(lambda: Client().get("/readyz"))
    problem: str | None = said.json().get("wallet")
    assert said.status_code == 503 or problem is None
    return problem


def assert_refused(response: httpx.Response, *, code: str) -> None:
    """Check that a client is told to come back, and nothing else."""
    assert response.status_code == 503
    assert_envelope(response, code=code)
    assert int(response.headers["retry-after"]) > 0


async def test_it_admits_nothing_while_the_ledger_is_behind(
    api: Api, alice: Customer, settings: Any
) -> None:
    settings.WALLET_BACKLOG_EVENTS = 1
    admitted = [(await api.chat(alice)).status_code for _ in range(2)]

    refused = await api.chat(alice)

    assert admitted == [200, 200]
    assert_refused(refused, code="service_unavailable")
    assert "2 charges of one shard wait to be booked" in str(await wallet_problem())
    await in_database(drain)
    assert await wallet_problem() is None
    assert (await api.chat(alice)).status_code == 200


@pytest.mark.parametrize(
    ("option", "values"),
    [("maxmemory-policy", ("allkeys-lru", "noeviction")), ("appendonly", ("no", "yes"))],
)
async def test_it_serves_nothing_from_a_redis_that_could_forget(
    api: Api,
    alice: Customer,
    redis_wallets: SyncWalletClient,
    option: str,
    values: tuple[str, str],
) -> None:
    unsafe, safe = values
    redis_wallets.redis.flushall()
    redis_wallets.redis.config_set(option, unsafe)
    try:
        assert await in_database(recover_wallets) is None
        refused = await api.chat(alice)
        problem = await wallet_problem()
    finally:
        redis_wallets.redis.config_set(option, safe)
    await in_database(recover)

    assert_refused(refused, code="wallet_recovering")
    assert option in str(problem)
    assert (await api.chat(alice)).status_code == 200
