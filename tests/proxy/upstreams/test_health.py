"""What several processes know of upstreams: two Healths on one Redis are two processes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.conf import settings

from billing.models import InboxItem
from billing.wallet.sync_client import SyncWalletClient
from common.encryption import encrypt_secret
from proxy.database import in_database
from proxy.models import Provider, ProviderKey
from proxy.upstreams.ejection import forget, take_back_key
from proxy.upstreams.health import Health
from proxy.upstreams.routes import UpstreamKey, UpstreamRoute
from proxy.upstreams.shared import CircuitLimits
from proxy.upstreams.verdicts import Blame, Next, Verdict
from tests.proxy.conftest import until
from tests.proxy.upstreams.stage import make_key, make_route, make_upstream

LIMITS = CircuitLimits(row=3, least_volume=4, share_percent=50, open_ms=150)
UNREACHED = Verdict(Blame.PROVIDER, Next.ROUTE, "not reached: ConnectionRefusedError")
FAILED = Verdict(Blame.ROUTE, Next.ROUTE, "500 server_error")
BUSY = Verdict(Blame.KEY_BUSY, Next.KEY, "429 rate_limit_exceeded")
REVOKED = Verdict(Blame.KEY_REVOKED, Next.KEY, "401 invalid_api_key")
EXHAUSTED = Verdict(Blame.KEY_EXHAUSTED, Next.KEY, "402")


@dataclass
class Pair:
    """Two processes."""

    here: Health
    there: Health


@pytest.fixture
async def pair(redis_wallets: SyncWalletClient) -> AsyncIterator[Pair]:
    pair = Pair(
        Health(settings.REDIS_URL, limits=LIMITS), Health(settings.REDIS_URL, limits=LIMITS)
    )
    tasks = [
        asyncio.create_task(deed)
        for health in (pair.here, pair.there)
        for deed in (health.listen(), health.keep_shared())
    ]
    yield pair
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await pair.here.close()
    await pair.there.close()


async def is_open(health: Health, route: UpstreamRoute) -> bool:
    """Tell whether a request is turned away; a try that it was given is given back."""
    passage = await health.enter(route)
    if passage is None:
        return True
    passage.close()
    return False


async def until_open(health: Health, route: UpstreamRoute) -> None:
    async with asyncio.timeout(5):
        while not await is_open(health, route):  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.005)


async def until_passage(health: Health, route: UpstreamRoute) -> Any:
    async with asyncio.timeout(5):
        while (passage := await health.enter(route)) is None:  # noqa: ASYNC110  # nobody tells
            await asyncio.sleep(0.005)
    return passage


async def test_a_provider_that_cant_be_reached_is_left_alone_by_all(pair: Pair) -> None:
    upstream = make_upstream()
    route, sibling = make_route(upstream), make_route(upstream)

    for _ in range(3):
        pair.here.note_failure(route, upstream.keys[0], UNREACHED)

    await until_open(pair.there, route)
    assert await is_open(pair.there, sibling)
    assert not await is_open(pair.there, make_route())


async def test_two_connections_that_fail_are_not_enough(pair: Pair) -> None:
    route = make_route()

    for _ in range(2):
        pair.here.note_failure(route, route.upstream.keys[0], UNREACHED)
    await pair.here.report()

    assert not await is_open(pair.here, route)


async def test_a_connection_that_worked_ends_the_row(pair: Pair) -> None:
    route = make_route()
    key = route.upstream.keys[0]

    for _ in range(4):
        pair.here.note_failure(route, key, UNREACHED)
        pair.here.note_failure(route, key, UNREACHED)
        pair.here.note_answer(route, key, latency_ms=5)
        await pair.here.report()

    assert not await is_open(pair.here, route)


async def test_a_route_is_left_alone_when_half_of_its_answers_fail_anywhere(pair: Pair) -> None:
    route = make_route()
    key = route.upstream.keys[0]

    # Two successes here and two failures there: four requests, and half of them failed.
    pair.here.note_ended(route, latency_ms=5)
    pair.here.note_ended(route, latency_ms=5)
    await pair.here.report()
    pair.there.note_failure(route, key, FAILED)
    pair.there.note_failure(route, key, FAILED)

    await until_open(pair.here, route)
    assert not await is_open(pair.here, make_route(route.upstream))


async def test_a_few_failures_among_many_answers_change_nothing(pair: Pair) -> None:
    route = make_route()
    key = route.upstream.keys[0]

    for _ in range(6):
        pair.here.note_ended(route, latency_ms=5)
    for _ in range(5):
        pair.here.note_failure(route, key, FAILED)
    await pair.here.report()

    assert not await is_open(pair.here, route)


async def test_after_the_pause_one_process_of_all_makes_one_try(pair: Pair) -> None:
    route = make_route()
    for _ in range(4):
        pair.here.note_failure(route, route.upstream.keys[0], FAILED)
    await until_open(pair.here, route)
    await until_open(pair.there, route)

    await asyncio.sleep(LIMITS.open_ms / 1_000)
    many = [health.enter(route) for health in (pair.here, pair.there) for _ in range(20)]
    passages = [passage for passage in await asyncio.gather(*many) if passage is not None]

    assert len(passages) == 1
    passages[0].served()
    await until_passage(pair.here, route)
    await until_passage(pair.there, route)


async def test_a_try_that_fails_doubles_the_pause(
    pair: Pair, redis_wallets: SyncWalletClient
) -> None:
    route = make_route()
    for _ in range(4):
        pair.here.note_failure(route, route.upstream.keys[0], FAILED)
    await until_open(pair.here, route)
    tried = await until_passage(pair.here, route)

    # Long enough to be read before it is over.
    pair.here.limits = replace(LIMITS, open_ms=5_000)
    tried.failed(FAILED)

    # The other process may still have the first pause, which is over.
    async with asyncio.timeout(5):
        while not (left_ms := (await pair.here._ask("read")).circuits[route.circuit][0]):  # noqa: ASYNC110  # it is in Redis
            await asyncio.sleep(0.01)
    assert 5_000 < left_ms <= 10_000


async def test_a_try_that_serves_after_its_lease_closes_the_circuit_all_the_same(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.upstreams.health.LEASE_SLACK_S", 0)
    route = make_route(make_upstream(connect_timeout_s=0, first_byte_timeout_s=0.01))
    for _ in range(4):
        pair.here.note_failure(route, route.upstream.keys[0], FAILED)
    await until_open(pair.here, route)
    await until_open(pair.there, route)
    slow = await until_passage(pair.here, route)
    # Its answer takes longer than the lease, so another process makes a try as well.
    other = await until_passage(pair.there, route)
    assert slow.probes
    assert other.probes

    slow.served()
    await until(lambda: not pair.there._open)
    other.failed(FAILED)
    await pair.there.report()

    assert not await is_open(pair.there, route)


async def test_a_try_that_was_not_made_is_left_to_the_next(pair: Pair) -> None:
    route = make_route()
    for _ in range(4):
        pair.here.note_failure(route, route.upstream.keys[0], FAILED)
    await until_open(pair.here, route)

    (await until_passage(pair.here, route)).close()

    assert (await until_passage(pair.there, route)).probes


async def test_a_circuit_counts_as_closed_while_redis_is_away() -> None:
    # Port 9 is "discard", where nobody listens.
    health = Health("redis://127.0.0.1:9/0", limits=LIMITS)
    route = make_route()
    health._open = {route.circuit: (0.0, 0.0)}

    passage = await health.enter(route)
    for _ in range(9):
        health.note_failure(route, route.upstream.keys[0], FAILED)
    await health.report()

    assert passage is not None
    assert not await is_open(health, route)
    await health.close()


async def test_a_busy_key_is_spared_for_its_model_by_all(pair: Pair) -> None:
    upstream = make_upstream(keys=[make_key("one"), make_key("two")])
    route, other = make_route(upstream, "large"), make_route(upstream, "small")
    first, second = upstream.keys

    pair.here.note_failure(route, first, BUSY, retry_after_s=30)

    assert pair.here.is_spared(first, route)
    await until(lambda: pair.there.is_spared(first, route))
    assert not pair.there.is_spared(first, other)
    assert not pair.there.is_spared(second, route)


@pytest.mark.parametrize(
    ("retry_after_s", "cooling_s"), [(None, 5), (0.0, 1), (7.5, 7.5), (1e9, 300)]
)
async def test_it_spares_a_key_as_long_as_it_was_told_within_bounds(
    pair: Pair, retry_after_s: float | None, cooling_s: float
) -> None:
    route = make_route()

    pair.here.note_failure(route, route.upstream.keys[0], BUSY, retry_after_s=retry_after_s)
    await pair.here.report()

    [left_ms] = (await pair.here._ask("read")).marks.values()
    assert cooling_s * 1_000 - 500 < left_ms <= cooling_s * 1_000


async def test_a_shorter_rest_does_not_end_a_longer_one(pair: Pair) -> None:
    route = make_route()
    pair.here.note_failure(route, route.upstream.keys[0], BUSY, retry_after_s=60)
    await until(lambda: pair.there._marks)

    pair.there._marks = {}
    pair.there.note_failure(route, route.upstream.keys[0], BUSY, retry_after_s=1)
    await pair.there._ask("read")

    [left_ms] = (await pair.here._ask("read")).marks.values()
    assert left_ms > 55_000


async def test_a_used_up_account_is_spared_for_long_and_told_once_a_day(
    pair: Pair, transactional_db: None
) -> None:
    row = await in_database(add_key)
    key = UpstreamKey(row.pk, "sk-1", bytes(row.encrypted_secret))
    upstream = make_upstream(keys=[key, make_key("sk-2")])
    route, other = make_route(upstream, "large"), make_route(upstream, "small")

    for health in (pair.here, pair.there):
        health.note_failure(route, upstream.keys[0], EXHAUSTED)
    await pair.here.finish()
    await pair.there.finish()

    assert pair.here.is_spared(upstream.keys[0], other)
    assert await in_database(list_items) == ["provider_quota"]


async def test_a_refused_key_is_ejected_everywhere_and_told_once(
    pair: Pair, transactional_db: None
) -> None:
    row = await in_database(add_key)
    key = UpstreamKey(row.pk, "sk-1", bytes(row.encrypted_secret))
    upstream = make_upstream(keys=[key, make_key("sk-2")])
    route, other = make_route(upstream, "large"), make_route(upstream, "small")

    for _ in range(5):
        pair.here.note_failure(route, upstream.keys[0], REVOKED)
    pair.there.note_failure(route, upstream.keys[0], REVOKED)
    await pair.here.finish()
    await pair.there.finish()

    await in_database(row.refresh_from_db)
    assert row.ejected_at is not None
    assert row.ejection_reason == "401 invalid_api_key"
    assert pair.there.is_spared(key, other)
    assert await in_database(list_items) == ["provider_key_ejected"]


async def test_a_last_key_is_told_of_and_rests_for_one_model_alone(
    pair: Pair, transactional_db: None
) -> None:
    row = await in_database(add_key)
    key = UpstreamKey(row.pk, "sk-1", bytes(row.encrypted_secret))
    upstream = make_upstream(keys=[key])
    route, other = make_route(upstream, "large"), make_route(upstream, "small")

    pair.here.note_failure(route, key, REVOKED)
    await pair.here.finish()

    await in_database(row.refresh_from_db)
    assert row.ejected_at is not None
    assert pair.here.is_spared(key, route)
    assert not pair.here.is_spared(key, other)


async def test_a_key_that_was_replaced_meanwhile_is_not_ejected(
    pair: Pair, transactional_db: None
) -> None:
    row = await in_database(add_key)
    upstream = make_upstream(keys=[UpstreamKey(row.pk, "sk-0", b"what was stored before")])

    pair.here.note_failure(make_route(upstream), upstream.keys[0], REVOKED)
    await pair.here.finish()

    await in_database(row.refresh_from_db)
    assert row.ejected_at is None
    assert await in_database(list_items) == []


async def test_a_key_that_staff_take_back_is_used_at_once(
    pair: Pair, transactional_db: None
) -> None:
    row = await in_database(add_key)
    key = UpstreamKey(row.pk, "sk-1", bytes(row.encrypted_secret))
    route = make_route(make_upstream(keys=[key]))
    pair.here.note_failure(route, key, REVOKED)
    await until(lambda: pair.there.is_spared(key, route))

    await in_database(take_back_key, row)

    await until(lambda: not pair.there.is_spared(key, route))
    await until(lambda: not pair.here.is_spared(key, route))


async def test_staff_can_close_a_circuit(pair: Pair) -> None:
    route = make_route()
    for _ in range(3):
        pair.here.note_failure(route, route.upstream.keys[0], UNREACHED)
    await until_open(pair.there, route)

    await asyncio.to_thread(forget, route.upstream.circuit)

    await until(lambda: not pair.there._open)


def add_key() -> ProviderKey:
    provider = Provider.objects.create(name="acme", base_url="https://api.example.com/v1")
    return ProviderKey.objects.create(provider=provider, encrypted_secret=encrypt_secret("sk-1"))


def list_items() -> list[str]:
    return list(InboxItem.objects.values_list("kind", flat=True))
