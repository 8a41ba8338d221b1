"""Calls of one turn in one call of Redis: as if each had come alone, in the same order."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import hiredis
import pytest

from accounts.models import User
from billing.exceptions import (
    InsufficientCredits,
    RateLimited,
    UnknownHold,
    WalletError,
    WalletFrozen,
    WalletRecovering,
)
from billing.ledger.member_spending import count_member
from billing.ledger.wallets import freeze_wallet
from billing.wallet import convoys, keys, library
from billing.wallet.client import WalletClient
from billing.wallet.commands import ending, placing, restoring
from billing.wallet.commands.command import Command
from billing.wallet.commands.figures import Balance
from billing.wallet.connection import Connection
from billing.wallet.limits import Caps
from billing.wallet.usage import month_of
from devstack.valkey import Valkey
from tests.billing.wallet.every_command import convoy_of, place
from tests.billing.wallet.faults import full_redis
from tests.billing.wallet.threads import in_thread
from tests.conftest import open_fences
from tests.till import NO_LIMIT, Till, limits

pytestmark = pytest.mark.django_db(transaction=True)

MARCH, APRIL = 1_772_323_200_000, 1_775_001_600_000
SEEDS = 12
STEPS = 8


@pytest.fixture
async def wallet(valkey_server: Valkey) -> AsyncIterator[WalletClient]:
    client = WalletClient([Connection(valkey_server.url, timeout_s=30)] * keys.SHARDS)
    # The first command connects, and what is asked for meanwhile would go out in another turn.
    with pytest.raises(UnknownHold):
        await client.find_register(1, "none")
    yield client
    await client.close()


def calls_so_far(till: Till) -> int:
    return int(till.client.redis.info("commandstats")["cmdstat_fcall"]["calls"])


def dump(till: Till) -> dict[bytes, bytes]:
    redis = till.client.redis
    return {name: redis.dump(name) for name in sorted(redis.keys("*"))}


async def test_holds_of_one_turn_are_decided_in_order_in_one_call(
    till: Till, wallet: WalletClient
) -> None:
    await in_thread(till.grant, 1_000)
    before = await in_thread(calls_so_far, till)

    outcomes = await asyncio.gather(
        *(wallet.place(till.hold_request(f"r{n}", 300)) for n in range(6)), return_exceptions=True
    )

    assert await in_thread(calls_so_far, till) - before == 1
    assert [getattr(each, "available_credits", None) for each in outcomes] == [
        *(700, 400, 100),
        *(100, 100, 100),
    ]
    assert [type(each) for each in outcomes[3:]] == [InsufficientCredits] * 3
    assert till.balance() == Balance(100, 900, 1_000, 0)
    assert till.figures().open_requests == 3


async def test_endings_of_one_turn_are_each_booked(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)
    for name in ("settled", "void", "running"):
        await wallet.place(till.hold_request(name, 100))
    before = await in_thread(calls_so_far, till)

    settled, _, _, unknown = await asyncio.gather(
        wallet.settle(till.facts("settled"), till.settlement(70)),
        wallet.void(till.facts("void")),
        wallet.extend(till.facts("running"), till.settlement(30)),
        wallet.settle(till.facts("nobody's"), till.settlement(5)),
        return_exceptions=True,
    )

    assert await in_thread(calls_so_far, till) - before == 1
    assert settled == (70, 730)
    assert isinstance(unknown, UnknownHold)
    assert till.balance() == Balance(830, 100, 930, 0)
    assert await in_thread(till.drain) == 1
    assert (await in_thread(till.receipt, "settled")).charged_credits == 70


async def test_more_than_one_convoy_holds_go_out_in_several(
    till: Till, wallet: WalletClient
) -> None:
    count = 33
    await in_thread(till.grant, count)
    before = await in_thread(calls_so_far, till)

    placed = await asyncio.gather(
        *(wallet.place(till.hold_request(f"r{n}", 1)) for n in range(count))
    )

    assert await in_thread(calls_so_far, till) - before == 3
    assert [each.available_credits for each in placed] == list(reversed(range(count)))


async def test_an_error_of_one_is_its_own(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)
    wrong = replace(till.hold_request("wrong", 10), units_least=11)

    first, error, last = await asyncio.gather(
        wallet.place(till.hold_request("first", 300)),
        wallet.place(wrong),
        wallet.place(till.hold_request("last", 300)),
        return_exceptions=True,
    )

    assert isinstance(error, WalletError)
    assert "ARGUMENT units_least is above units_wanted" in str(error)
    assert (first.available_credits, last.available_credits) == (700, 400)  # type: ignore[union-attr]
    assert till.balance() == Balance(400, 600, 1_000, 0)


async def test_what_is_no_command_fails_alone(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)
    wrong = replace(till.hold_request("wrong", 10), fixed_tokens=None)  # type: ignore[arg-type]

    placed, error = await asyncio.gather(
        wallet.place(till.hold_request("first", 300)), wallet.place(wrong), return_exceptions=True
    )

    assert isinstance(error, TypeError)
    assert placed.available_credits == 700  # type: ignore[union-attr]


async def test_one_that_is_cancelled_is_voided_and_the_others_stand(
    till: Till, wallet: WalletClient
) -> None:
    await in_thread(till.grant, 1_000)
    tasks = [asyncio.create_task(wallet.place(till.hold_request(f"r{n}", 300))) for n in range(3)]
    await asyncio.sleep(0)

    tasks[1].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(outcomes[1], asyncio.CancelledError)
    async with asyncio.timeout(10):
        while await in_thread(till.open_requests) != ["r0", "r2"]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    assert till.balance() == Balance(400, 600, 1_000, 0)


async def test_freezing_binds_every_hold_of_the_next_turn(till: Till, wallet: WalletClient) -> None:
    await in_thread(till.grant, 1_000)
    await in_thread(partial(freeze_wallet, till.wallet, reason="test"))

    outcomes = await asyncio.gather(
        *(wallet.place(till.hold_request(f"r{n}", 1)) for n in range(3)), return_exceptions=True
    )

    assert [type(each) for each in outcomes] == [WalletFrozen] * 3


async def test_a_shard_that_is_closed_refuses_all_of_a_convoy(
    till: Till, wallet: WalletClient
) -> None:
    await in_thread(till.grant, 1_000)
    await in_thread(till.client.ask, restoring.close(till.shard))
    before = await in_thread(dump, till)

    outcomes = await asyncio.gather(
        *(wallet.place(till.hold_request(f"r{n}", 1)) for n in range(2)),
        *(wallet.settle(till.facts(f"r{n}"), till.settlement(1)) for n in range(2)),
        return_exceptions=True,
    )

    assert [type(each) for each in outcomes] == [WalletRecovering] * 4
    assert await in_thread(dump, till) == before


async def test_a_server_out_of_memory_ends_holds_and_places_none(
    till: Till, wallet: WalletClient
) -> None:
    await in_thread(till.grant, 1_000)
    for n in range(2):
        await wallet.place(till.hold_request(f"r{n}", 100))

    with full_redis():
        outcomes = await asyncio.gather(
            *(wallet.place(till.hold_request(f"new{n}", 1)) for n in range(2)),
            *(wallet.settle(till.facts(f"r{n}"), till.settlement(10)) for n in range(2)),
            return_exceptions=True,
        )

    assert [type(each) for each in outcomes[:2]] == [WalletRecovering] * 2
    assert outcomes[2:] == [(10, 890), (10, 980)]


async def test_wallets_of_one_shard_share_a_convoy_and_nothing_else(
    till: Till, bob: User, wallet: WalletClient
) -> None:
    other = await in_thread(Till, bob)
    while other.shard != till.shard:
        other.wallet.pk += 1
    # A wallet that PostgreSQL does not know needs no row for what Redis decides.
    await in_thread(till.grant, 100)
    before = await in_thread(calls_so_far, till)

    mine, theirs = await asyncio.gather(
        wallet.place(till.hold_request("r1", 100)),
        wallet.place(other.hold_request("r2", 100)),
        return_exceptions=True,
    )

    assert await in_thread(calls_so_far, till) - before == 1
    assert mine.available_credits == 0  # type: ignore[union-attr]
    assert isinstance(theirs, WalletError)


def test_requests_per_minute_bind_within_a_convoy(till: Till) -> None:
    till.grant(1_000)
    bounds = limits(key={"requests_per_minute": 2})
    asked = [till.hold_request(f"r{n}", 1, bounds=bounds) for n in range(3)]

    replies = ask(till, [hold_of(each) for each in asked])

    assert [outcome(placing.parse_place, each) for each in replies][2] is RateLimited
    assert till.figures().open_requests == 2


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_convoy_is_what_its_calls_are_one_by_one(till: Till, bob: User, seed: int) -> None:
    chance = random.Random(seed)
    alone, together = Twin(till), Twin(Till(bob))
    for twin in (alone, together):
        twin.till.grant(2_000)
        if seed % 2:
            count_member(twin.till.wallet.pk, twin.till.member)

    for _ in range(STEPS):
        kind = chance.choice(["places", "ends"])
        drawn = [draw(chance, kind) for _ in range(chance.randint(1, 9))]
        one_by_one = [alone.till.client.ask(alone.call(each)) for each in drawn]
        at_once = ask(together.till, [together.call(each) for each in drawn])

        # What is left of the rates moves with the clock.
        assert [each[:4] for each in at_once] == [each[:4] for each in one_by_one]
        assert together.figures() == alone.figures()


@dataclass(frozen=True)
class Twin:
    """One of two wallets that the same calls are made on."""

    till: Till

    def call(self, drawn: "Drawn") -> Command:
        name, request, amount, started_at_ms = drawn
        facts = replace(self.till.facts(request), started_at_ms=started_at_ms)
        if name == "place":
            bounds = limits(monthly=600, member=Caps(lifetime_credits=1_500))
            if not self.is_counted():
                bounds = limits(monthly=600)
            hold = self.till.hold_request(request, amount, least=amount // 2, bounds=bounds)
            return hold_of(replace(hold, facts=facts))
        if name == "void":
            return ending.void(facts)
        settlement = self.till.settlement(amount)
        if name == "extend":
            return ending.extend(facts, settlement, lease_ms=60_000)
        return ending.settle(facts, settlement)

    def is_counted(self) -> bool:
        name = keys.member(self.till.wallet.pk, self.till.member)
        return bool(self.till.client.redis.exists(name))

    def figures(self) -> list[Any]:
        """Return everything that the calls change, but for names and times."""
        till = self.till
        events = till.client.redis.xrange(keys.events(till.shard))
        of_events = [
            [fields[name] for name in (b"kind", b"ref", b"delta", b"charged", b"target", b"held")]
            for _, fields in events
        ]
        member = till.client.redis.hgetall(keys.member(till.wallet.pk, till.member))
        return [
            till.balance(),
            [till.figures(month_of(started)) for started in (MARCH, APRIL)],
            {name: value for name, value in member.items() if name not in {b"e", b"ra", b"ta"}},
            sorted(till.open_requests()),
            of_events,
        ]


# A call's name, its request, an amount, and when the request began.
Drawn = tuple[str, str, int, int]


def draw(chance: random.Random, kind: str) -> Drawn:
    number = chance.randrange(12)
    name = "place" if kind == "places" else chance.choice(["settle", "settle", "void", "extend"])
    # A request's month is one, whatever is asked of it.
    return name, f"r{number}", chance.randint(0, 400), (MARCH, APRIL)[number % 2]


def hold_of(hold: placing.HoldRequest) -> Command:
    return placing.place(hold, lease_ms=60_000, limit=NO_LIMIT)


def ask(till: Till, calls: list[Command]) -> list[Any]:
    """Make these calls in one."""
    replies: list[Any] = till.client.ask(convoy_of(*calls))
    assert len(replies) == len(calls)
    return replies


def outcome(parse: Callable[[Any], object], reply: Any) -> object:
    try:
        return parse(reply)
    except WalletError as error:
        return type(error)


def test_a_keys_first_holds_after_a_rebuild_are_counted_in_the_new_epoch(till: Till) -> None:
    till.grant(1_000)
    till.place("before", 100)
    open_fences(till.client)

    ask(till, [place(till, f"r{n}") for n in range(3)])

    assert (till.figures().open_requests, till.figures().held_credits) == (3, 30)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("name", "tp_settle"),
        ("name", "tp_nothing"),
        ("n_keys", "x"),
        ("n_keys", "0"),
        ("n_keys", "-1"),
        ("n_keys", "6"),
        ("n_keys", "999"),
        ("n_arguments", "x"),
        ("n_arguments", "-1"),
        ("n_arguments", "999"),
    ],
)
def test_a_convoy_that_is_no_convoy_runs_none_of_its_calls(
    till: Till, name: str, wrong: str
) -> None:
    till.grant(1_000)
    good = convoy_of(place(till, "first"), place(till, "last"))
    of_last = len(good.arguments) // 2
    at = of_last + ["name", "n_keys", "n_arguments"].index(name)
    bad = good._replace(arguments=(*good.arguments[:at], wrong, *good.arguments[at + 1 :]))
    before = dump(till)

    with pytest.raises(WalletError, match="ARGUMENT"):
        till.client.ask(bad)

    assert dump(till) == before


def test_a_convoy_that_was_interrupted_leaves_nothing_in_memory(till: Till) -> None:
    till.grant(1_000)
    source = library.read_source().replace("  write_changed()\n  forget_known()\n", "  stop()\n")
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", source)
    open_fences(till.client)
    with pytest.raises(WalletError):
        till.client.ask(convoy_of(place(till, "lost"), place(till, "lost too")))

    assert till.balance() == Balance(1_000, 0, 1_000, 0)
    till.place("next", 100)

    assert till.balance() == Balance(900, 100, 1_000, 0)
    assert till.client.redis.hget(keys.wallet(till.wallet.pk), "held") == b"100"
    till.client.redis.execute_command("FUNCTION", "LOAD", "REPLACE", library.read_source())
    open_fences(till.client)


def test_an_answer_to_all_is_told_from_the_answers_of_each() -> None:
    of_each = [[b"OK", 1], [b"MISSING"]]

    assert convoys.replies_of(of_each, 2) == of_each
    assert convoys.replies_of([b"RECOVERING"], 2) == [[b"RECOVERING"], [b"RECOVERING"]]
    error = hiredis.ReplyError("OOM")
    assert convoys.replies_of(error, 2) == [error, error]
    assert convoys.replies_of([b"OK", 1], 1) == [[b"OK", 1]]
