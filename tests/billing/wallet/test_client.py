"""The wallet as the web processes use it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from billing.exceptions import (
    UnknownHold,
    WalletBacklogged,
    WalletError,
    WalletRecovering,
)
from billing.wallet import keys
from billing.wallet.client import WalletClient
from billing.wallet.commands.figures import Balance
from billing.wallet.connection import Connection, ConnectionLost
from devstack.valkey import Valkey
from tests.billing.wallet.threads import in_thread
from tests.till import Till

pytestmark = pytest.mark.django_db(transaction=True)


class LossyConnection(Connection):
    """Loses what Redis answers: the command has run, and nobody learns of it."""

    losses = 0

    async def command(self, *parts: str | bytes | int) -> Any:
        answer = await super().command(*parts)
        if self.losses:
            self.losses -= 1
            raise ConnectionLost("The answer was lost.")
        return answer


@pytest.fixture
async def connection(valkey_server: Valkey) -> AsyncIterator[LossyConnection]:
    opened = LossyConnection(valkey_server.url)
    yield opened
    await opened.close()


@pytest.fixture
async def wallet(connection: LossyConnection) -> AsyncIterator[WalletClient]:
    client = WalletClient([connection] * keys.SHARDS)
    yield client
    await client.close()


async def wait_until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        # Another connection's view of Redis has no event to wait for.
        while not await in_thread(is_so):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_request_is_held_renewed_and_settled(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)

    placed = await wallet.place(till.hold_request("r1", 300))
    await wallet.extend(till.facts("r1"), till.settlement(50))
    settled = await wallet.settle(till.facts("r1"), till.settlement(120))

    assert (placed.held_credits, placed.available_credits) == (300, 700)
    assert (settled.charged_credits, settled.available_credits) == (120, 880)
    assert till.balance() == Balance(880, 0, 880, 0)


async def test_a_hold_whose_answer_was_lost_is_voided(
    till: Till, wallet: WalletClient, connection: LossyConnection
) -> None:
    await in_thread(till.grant, 1_000)
    connection.losses = 1

    with pytest.raises(WalletRecovering):
        await wallet.place(till.hold_request("r1", 300))

    await wait_until(lambda: till.balance() == Balance(1_000, 0, 1_000, 0))
    with pytest.raises(WalletError):
        await wallet.place(till.hold_request("r1", 300))


async def test_a_hold_whose_task_was_cancelled_is_voided(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)
    # The connection is there by now.
    await wallet.place(till.hold_request("r0", 1))
    await wallet.void(till.facts("r0"))
    task = asyncio.create_task(wallet.place(till.hold_request("r1", 300)))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await wait_until(lambda: till.client.redis.exists(f"{{{till.shard}}}:hold:r1") == 1)
    await wait_until(lambda: till.balance() == Balance(1_000, 0, 1_000, 0))


async def test_a_void_is_tried_again_until_redis_answers(
    till: Till,
    connection: LossyConnection,
) -> None:
    wallet = WalletClient([connection] * keys.SHARDS, void_retry_s=0.01)
    await in_thread(till.grant, 1_000)
    connection.losses = 4

    with pytest.raises(WalletRecovering):
        await wallet.place(till.hold_request("r1", 300))

    await wait_until(lambda: connection.losses == 0)
    await wait_until(lambda: not wallet._voiding)
    assert till.balance().held_credits == 0


async def test_nothing_piles_up_while_redis_is_away(till: Till) -> None:
    wallet = await WalletClient.connect(["redis://127.0.0.1:1/0"] * keys.SHARDS)

    for number in range(10):
        with pytest.raises(WalletRecovering):
            await wallet.place(till.hold_request(f"r{number}", 300))

    assert not wallet._voiding
    await wallet.close()


async def test_nothing_is_voided_when_redis_refused(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.client.redis.flushall)

    with pytest.raises(WalletRecovering):
        await wallet.place(till.hold_request("r1", 300))

    assert not wallet._voiding


async def test_a_killed_redis_fails_the_call_and_a_restarted_one_waits_for_its_rebuild(
    till: Till, wallet: WalletClient, valkey_server: Valkey
) -> None:
    await in_thread(till.grant, 1_000)
    await wallet.place(till.hold_request("r1", 300))

    await in_thread(valkey_server.kill)
    # It may not have been told yet that its socket is gone: then it learns it by asking.
    with pytest.raises(WalletRecovering, match=r"reached|closed"):
        await wallet.settle(till.facts("r1"), till.settlement(120))
    await in_thread(valkey_server.start)

    # The socket was mended without a word; the server still knows that it is not the same.
    with pytest.raises(WalletRecovering, match="RECOVERING"):
        await wallet.settle(till.facts("r1"), till.settlement(120))


async def test_a_server_without_the_library_is_recovering(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.client.redis.execute_command, "FUNCTION", "FLUSH")

    with pytest.raises(WalletRecovering, match="Function not found"):
        await wallet.settle(till.facts("r1"), till.settlement(1))


async def test_a_full_server_places_nothing_but_settles(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)
    await wallet.place(till.hold_request("r1", 300))
    await in_thread(till.client.redis.config_set, "maxmemory", 1)
    try:
        with pytest.raises(WalletRecovering, match="OOM"):
            await wallet.place(till.hold_request("r2", 300))
        settled = await wallet.settle(till.facts("r1"), till.settlement(120))
        told = await in_thread(till.inquire)
        drained = await in_thread(till.drain)
    finally:
        await in_thread(till.client.redis.config_set, "maxmemory", 0)

    assert (settled.charged_credits, told.figures.spent_credits, drained) == (120, 120, 1)
    assert till.balance() == Balance(880, 0, 880, 0)


async def test_nothing_is_admitted_while_too_many_events_wait(
    till: Till, wallet: WalletClient, settings: Any
) -> None:
    settings.WALLET_BACKLOG_EVENTS = 2
    await in_thread(till.grant, 1_000)
    for number in range(3):
        await wallet.place(till.hold_request(f"r{number}", 10))
    for number in range(3):
        await wallet.settle(till.facts(f"r{number}"), till.settlement(10))

    with pytest.raises(WalletBacklogged):
        await wallet.place(till.hold_request("r3", 10))

    await in_thread(till.drain)
    assert (await wallet.place(till.hold_request("r3", 10))).held_credits == 10


async def test_nothing_is_admitted_while_an_event_waits_too_long(
    till: Till, wallet: WalletClient, settings: Any
) -> None:
    await in_thread(till.grant, 1_000)
    await wallet.place(till.hold_request("r1", 10))
    await wallet.settle(till.facts("r1"), till.settlement(10))
    settings.WALLET_BACKLOG_AGE_S = 0
    await asyncio.sleep(0.002)

    with pytest.raises(WalletBacklogged):
        await wallet.place(till.hold_request("r2", 10))


async def test_an_event_that_can_not_be_booked_does_not_stop_its_shard(
    till: Till, wallet: WalletClient, settings: Any
) -> None:
    await in_thread(till.grant, 1_000)
    await in_thread(till.client.redis.xadd, f"{{{till.shard}}}:events", {"kind": "nonsense"}, "1-1")
    with pytest.raises(WalletBacklogged):
        await wallet.place(till.hold_request("r1", 10))

    await in_thread(till.drain)

    assert (await wallet.place(till.hold_request("r1", 10))).held_credits == 10


async def test_an_unknown_hold_is_neither_settled_nor_voided_nor_renewed(
    till: Till, wallet: WalletClient
) -> None:
    await in_thread(till.grant, 1_000)

    for call in (
        wallet.settle(till.facts("r1"), till.settlement(10)),
        wallet.void(till.facts("r1")),
        wallet.extend(till.facts("r1"), till.settlement(10)),
    ):
        with pytest.raises(UnknownHold):
            await call


async def test_closing_stops_what_is_being_voided(till: Till, connection: LossyConnection) -> None:
    wallet = WalletClient([connection] * keys.SHARDS)
    connection.losses = 1_000
    with pytest.raises(WalletRecovering):
        await wallet.place(till.hold_request("r1", 10))
    (task,) = wallet._voiding

    await wallet.close()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_quote_is_what_would_be_placed_and_writes_nothing(
    wallet: WalletClient, till: Till
) -> None:
    await in_thread(till.grant, 100)
    hold = till.hold_request("r1", 500, least=1)
    before = await in_thread(_dump, till)

    quoted = [await wallet.quote(hold) for _ in range(2)]
    after = await in_thread(_dump, till)
    placed = await wallet.place(hold)

    assert after == before
    assert {(one.held_credits, one.units, one.available_credits) for one in quoted} == {
        (placed.held_credits, placed.units, placed.available_credits)
    }
    assert (placed.held_credits, placed.available_credits) == (100, 0)


def _dump(till: Till) -> dict[bytes, bytes]:
    redis = till.client.redis
    return {name: redis.dump(name) for name in sorted(redis.keys("*"))}
