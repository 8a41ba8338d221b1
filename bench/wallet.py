"""Measure the wallet: `make bench-wallet`. Prints a table; fails for no number.

The pairs are held and settled by one process over one multiplexed connection, as a web process
does, with so many requests under way at once. CPU is counted for that process and for Valkey: it
tells more than the clock on a machine that others use. How fast the machine was just before stands
beside each figure; on one that is too busy to tell nothing is printed (BENCH_ANYWAY=1 insists).
"""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from bench.machine import (
    Calibration,
    TooBusy,
    calibrate,
    check_drift,
    check_quiet,
    describe,
    tree_cpu_s,
)
from bench.services import own_services
from devstack.valkey import Valkey

if TYPE_CHECKING:
    from billing.wallet.client import WalletClient
    from billing.wallet.commands.placing import HoldRequest
    from billing.wallet.journal import Journal
    from billing.wallet.usage import RequestFacts, Settlement

PAIRS = int(os.environ.get("BENCH_PAIRS", "10000"))
AT_ONCE = 16
WALLETS = 2_000
DRAINED = 20_000
EVENTS = 100_000
HOLDS = 10_000
CHUNK = 1_000
NOW_MS = 1_700_000_000_000


@dataclass
class Shop:
    """Wallets with credits, one key and one price."""

    wallets: list[int] = field(default_factory=list)
    key: int = 0
    price: int = 0
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def facts(self, wallet_id: int) -> "RequestFacts":
        from billing.wallet.usage import RequestFacts

        return RequestFacts(
            f"req_{next(self.numbers):032x}",
            wallet_id,
            self.key,
            self.price,
            "gpt-4",
            "chat.completions",
            False,
            NOW_MS,
        )

    def hold(self, wallet_id: int) -> "HoldRequest":
        from billing.wallet.client import HoldRequest
        from billing.wallet.limits import Allowance, Limits

        unbound = Allowance(100_000_000, 10**12, 1_000_000)
        limits = Limits(unbound, unbound)
        return HoldRequest(self.facts(wallet_id), 10**9, 20_000, 1_000, 100, 1, 20, 1, limits)


def ending() -> "Settlement":
    from billing.wallet.usage import Settlement

    return Settlement(50, "completed", "reported", 20, 0, 30, 0, "sandbox", 1, NOW_MS + 900, 120)


def open_shop() -> Shop:
    """Make the customers, each with credits that last."""
    from accounts.models import ApiKey, User
    from accounts.teams.members import make_own_teams
    from billing.catalogue.model_prices import set_price
    from billing.ledger.credits import post_credit
    from billing.ledger.references import Grant
    from billing.models import PublicModel, Wallet
    from billing.upkeep.recovery import recover

    recover(grace_s=0)
    names = [f"c{number}@example.com" for number in range(WALLETS)]
    users = User.objects.bulk_create([User(email=name) for name in names])
    wallets = Wallet.objects.bulk_create([Wallet(team=team) for team in make_own_teams(users)])
    key = ApiKey.objects.create(
        team=wallets[0].team, created_by=users[0], name="bench", digest="0" * 64, hint="bench"
    )
    price = set_price(
        PublicModel.objects.create(name="gpt-4"),
        prompt_rate_millicredits=1_000,
        cached_prompt_rate_millicredits=1_000,
        completion_rate_millicredits=1_000,
    )
    for wallet in wallets:
        amount = 100_000_000_000 if wallet is wallets[0] else 1_000_000
        post_credit(wallet.pk, kind="grant", amount_credits=amount, reference=Grant(uuid4()))
    return Shop([wallet.pk for wallet in wallets], key.pk, price.pk)


def measure_pairs(shop: Shop, valkey: Valkey, wallet_ids: list[int], *, fsync: str) -> str:
    """Hold and settle, and return a row of the table."""
    from billing.wallet.sync_client import get_sync_client

    get_sync_client().redis.config_set("appendfsync", fsync)
    before = tree_cpu_s(valkey.process.pid), time.process_time(), time.perf_counter()
    holds, ends = asyncio.run(_pairs(shop, wallet_ids))
    seconds = time.perf_counter() - before[2]
    server, client = tree_cpu_s(valkey.process.pid) - before[0], time.process_time() - before[1]
    wallets = "one hot wallet" if len(wallet_ids) == 1 else f"{len(wallet_ids):,} wallets"
    return (
        f"{wallets:<16} {fsync:<9} {PAIRS / seconds:>8,.0f} pairs/s"
        f"   hold p50 {percentile(holds, 50):5.2f} p99 {percentile(holds, 99):6.2f} ms"
        f"   settle p50 {percentile(ends, 50):5.2f} p99 {percentile(ends, 99):6.2f} ms"
        f"   CPU/pair: server {server / PAIRS * 1e6:4.0f} µs, client {client / PAIRS * 1e6:4.0f} µs"
    )


async def _pairs(shop: Shop, wallet_ids: list[int]) -> tuple[list[float], list[float]]:
    from django.conf import settings

    from billing.wallet.client import WalletClient

    wallet = await WalletClient.connect(settings.REDIS_SHARDS)
    turns = itertools.cycle(wallet_ids)
    work = [(shop.hold(next(turns)), ending()) for _ in range(PAIRS)]
    holds: list[float] = []
    ends: list[float] = []
    queue = iter(work)
    workers = [_worker(wallet, queue, holds, ends) for _ in range(AT_ONCE)]
    await asyncio.gather(*workers)
    await wallet.close()
    return holds, ends


async def _worker(
    wallet: "WalletClient",
    queue: "Iterator[tuple[HoldRequest, Settlement]]",
    holds: list[float],
    ends: list[float],
) -> None:
    for hold, settlement in queue:
        started = time.perf_counter()
        await wallet.place(hold)
        placed = time.perf_counter()
        await wallet.settle(hold.facts, settlement)
        holds.append(placed - started)
        ends.append(time.perf_counter() - placed)


def measure_drain(shop: Shop, wallet_ids: list[int]) -> str:
    """Book events, and return a row of the table."""
    from billing.upkeep.drain import drain

    drain()
    fill(shop, wallet_ids, DRAINED, journal=None)
    cpu, clock = time.process_time(), time.perf_counter()
    booked = drain().booked
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    wallets = "one hot wallet" if len(wallet_ids) == 1 else f"{len(wallet_ids):,} wallets"
    return (
        f"{wallets:<16} {booked:,} events in {seconds:5.1f} s: {booked / seconds:>8,.0f} events/s"
        f"   CPU/event in the worker {cpu / booked * 1e6:4.0f} µs"
    )


def measure_recovery(shop: Shop, fault: str) -> str:
    """Lose Redis with a full stream and many holds, and return a row of the table."""
    from billing.upkeep.recovery import recover
    from billing.wallet import library
    from billing.wallet.sync_client import get_sync_client

    redis = get_sync_client().redis
    if fault == "flush":
        redis.flushdb()
    else:
        redis.execute_command("FUNCTION", "LOAD", "REPLACE", library.read_source())
    cpu, clock = time.process_time(), time.perf_counter()
    recover()
    seconds, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return (
        f"{fault:<16} {EVENTS:,} events, {HOLDS:,} open holds: {seconds:5.1f} s"
        f"   CPU in the worker {cpu:4.1f} s"
    )


def fill(shop: Shop, wallet_ids: list[int], count: int, *, journal: "Journal | None") -> None:
    """Settle so many requests, many in one round trip, without the drain."""
    from billing.wallet.commands.ending import settle
    from billing.wallet.sync_client import get_sync_client

    turns = itertools.cycle(wallet_ids)
    for _ in range(0, count, CHUNK):
        some = hold_many(shop, [next(turns) for _ in range(CHUNK)], CHUNK, journal=journal)
        if journal is not None:
            for facts in some:
                journal.end(facts, ending())
        get_sync_client().ask_many([settle(facts, ending()) for facts in some])


def hold_many(
    shop: Shop, wallet_ids: list[int], count: int, *, journal: "Journal | None"
) -> "list[RequestFacts]":
    """Place so many holds, many in one round trip."""
    from billing.wallet.commands import placing
    from billing.wallet.sync_client import get_sync_client

    turns = itertools.cycle(wallet_ids)
    holds = [shop.hold(next(turns)) for _ in range(count)]
    limit = placing.BacklogLimit(10**9, 10**9)
    for first in range(0, count, CHUNK):
        some = holds[first : first + CHUNK]
        asked = [placing.place(hold, lease_ms=3_600_000, limit=limit) for hold in some]
        for hold, reply in zip(some, get_sync_client().ask_many(asked), strict=True):
            placed = placing.parse_place(reply)
            if journal is not None:
                journal.start(hold.facts, placed.held_credits)
    return [hold.facts for hold in holds]


def percentile(seconds: list[float], percent: int) -> float:
    """Return milliseconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1_000


def rows(valkey: Valkey) -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield what is measured: the heading that it begins, if it does, and how."""
    from django.conf import settings

    from billing.wallet.journal import Journal

    shop = open_shop()
    some = (shop.wallets[:1], shop.wallets)
    heading = f"{PAIRS:,} pairs, {AT_ONCE} at once"
    for fsync in ("everysec", "always"):
        for wallet_ids in some:
            yield heading, partial(measure_pairs, shop, valkey, wallet_ids, fsync=fsync)
            heading = ""
    heading = "Drain"
    for wallet_ids in some:
        yield heading, partial(measure_drain, shop, wallet_ids)
        heading = ""
    journal = Journal.open(settings.JOURNAL_DIR)
    fill(shop, shop.wallets, EVENTS, journal=journal)
    hold_many(shop, shop.wallets, HOLDS, journal=journal)
    yield (
        "Recovery, of which 0.5 s is the grace for the journals",
        partial(measure_recovery, shop, "restart"),
    )
    yield "", partial(measure_recovery, shop, "flush")
    journal.close()


def measure(*, is_lenient: bool) -> Iterator[str]:
    """Yield the lines of the table. Raises TooBusy."""
    others = check_quiet(is_lenient=is_lenient)
    seen: list[Calibration] = []
    with own_services() as valkey:
        yield f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC on {describe()}; others took {others:.0%}"
        for heading, measure_row in rows(valkey):
            seen.append(calibrate(valkey.url))
            if heading:
                yield f"\n{heading}"
            yield f"{measure_row()}   [{seen[-1].words()}]"
        if not is_lenient:
            check_drift(seen)


def main() -> int:
    """Print the table as it comes. Returns the exit code."""
    try:
        for line in measure(is_lenient=os.environ.get("BENCH_ANYWAY") == "1"):
            print(line, flush=True)
    except TooBusy as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
