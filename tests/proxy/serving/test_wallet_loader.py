"""Whoever calls first after Redis was lost has their wallet loaded; a crowd, together."""

import asyncio

import pytest

from billing.ledger.wallets import grant_credits, wallet_of
from billing.models import Wallet
from billing.upkeep.recovery import close_all, recover
from billing.wallet import keys
from billing.wallet.commands import restoring
from billing.wallet.sync_client import get_sync_client
from proxy.database import in_database
from proxy.serving.wallet_loader import WalletLoader
from tests.conftest import person
from tests.proxy.conftest import Api, Customer

pytestmark = pytest.mark.django_db(transaction=True)


def lose() -> None:
    """Lose what Redis knew; nothing is under way."""
    get_sync_client().redis.flushdb()
    close_all()
    recover(grace_s=0)


def make_wallets(count: int) -> list[int]:
    """Make wallets of one shard, with 10 credits each."""
    made = []
    for number in range(count):
        wallet = wallet_of(person(f"p{number}"))
        Wallet.objects.filter(pk=wallet.pk).update(id=1_000 + number * keys.SHARDS)
        wallet = Wallet.objects.get(team=wallet.team)
        grant_credits(wallet, credits=10, reason="a test")
        made.append(wallet.pk)
    return made


def count_calls() -> int:
    calls: int = get_sync_client().redis.info("commandstats")["cmdstat_fcall"]["calls"]
    return calls


def balances(wallet_ids: list[int]) -> list[int]:
    """Return what Redis has, which raises if one is not loaded."""
    client = get_sync_client()
    return [client.read_balance(wallet_id).available_credits for wallet_id in wallet_ids]


async def test_the_first_call_after_a_loss_is_served(api: Api, alice: Customer) -> None:
    await in_database(lose)

    answers = await asyncio.gather(*(api.chat(alice, max_tokens=5) for _ in range(3)))

    assert [answer.status_code for answer in answers] == [200, 200, 200]


async def test_a_crowd_is_loaded_together(wallets: None) -> None:
    wallet_ids = await in_database(lambda: make_wallets(3))
    await in_database(lose)
    before, loader = await in_database(count_calls), WalletLoader()

    await asyncio.gather(*(loader.load(wallet_id) for wallet_id in [*wallet_ids, *wallet_ids]))

    # The epoch of their shard, and one load.
    assert await in_database(count_calls) - before == 2
    assert await in_database(lambda: balances(wallet_ids)) == [10, 10, 10]


async def test_a_closed_shard_keeps_no_other_from_being_loaded(wallets: None) -> None:
    [mine] = await in_database(lambda: make_wallets(1))
    await in_database(lose)
    other = mine + 1
    await in_database(get_sync_client().ask, restoring.close(keys.shard_of(other)))
    loader = WalletLoader()

    await asyncio.gather(loader.load(other), loader.load(mine))

    assert await in_database(lambda: balances([mine])) == [10]


async def test_whoever_gives_up_leaves_the_others_waiting(wallets: None) -> None:
    [mine] = await in_database(lambda: make_wallets(1))
    await in_database(lose)
    loader = WalletLoader()
    first, second = (asyncio.create_task(loader.load(mine)) for _ in range(2))
    await asyncio.sleep(0)

    first.cancel()
    await second

    assert await in_database(lambda: balances([mine])) == [10]
