"""Hundreds at a barrier, from four processes: exactly as many get through as are paid for."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from django.conf import settings

from billing.audit.books import audit
from billing.exceptions import InsufficientCredits
from billing.ledger.member_spending import count_member
from billing.wallet import keys
from billing.wallet.client import WalletClient
from billing.wallet.commands.figures import Balance
from billing.wallet.connection import Connection
from billing.wallet.limits import Caps, Limits
from tests.till import Till, in_a_thread, limits

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parents[3]
PROCESSES = 4
EACH = 125
PAID_FOR = 50
CREDITS = 7
SEEDS = 20
RACED_IN = 202_311  # when all of them begin

# What each process runs: connect, say so, wait for the barrier, then all of its requests at once.
# A process that is paid for many rounds starts Python once.
RACER = """
import asyncio, json, random, sys
import django
django.setup()
from billing.exceptions import CapReached, InsufficientCredits, RateLimited
from billing.wallet.usage import RequestFacts, Settlement
from billing.wallet.client import HoldRequest, WalletClient
from billing.wallet.connection import Connection
from billing.wallet.limits import Allowance, Caps, Limits
url, number, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

async def request(wallet, order, name, rng):
    facts = RequestFacts(name, order["wallet"], rng.choice(order["api_keys"]), order["price"],
                         "gpt-4", "chat.completions", rng.random() < 0.5, 1_700_000_000_000,
                         order["member"])
    limits = Limits(Allowance(**order["key"]), Allowance(**order["of_wallet"]), *order["caps"],
                    Caps(*order["member_caps"]))
    tokens = order["tokens"]
    hold = HoldRequest(facts, 10**9, 0, 1000, order["credits"], order["credits"], tokens, 0, limits)
    await asyncio.sleep(0)
    try:
        placed = await wallet.place(hold)
    except InsufficientCredits:
        return "refused"
    except RateLimited as error:
        return error.what.name.lower()
    except CapReached as error:
        return "member capped" if error.is_members else "capped"
    if order["settles"]:
        await wallet.settle(facts, Settlement(order["credits"], "completed", "reported", 0, 0,
                            order["credits"], 0, "sandbox", 1, 1_700_000_001_000))
    return "admitted"

async def main():
    # A busy machine is no refusal.
    wallet = WalletClient([Connection(url, timeout_s=30)] * 16)
    loop = asyncio.get_running_loop()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        rng = random.Random(f"{order['seed']}-{number}")
        names = [f"s{order['seed']}-{number}-{n}" for n in range(each)]
        rng.shuffle(names)
        outcomes = await asyncio.gather(*(request(wallet, order, n, rng) for n in names))
        print(json.dumps({o: outcomes.count(o) for o in set(outcomes)}), flush=True)
    await wallet.close()

asyncio.run(main())
"""


class Racers:
    """Four processes that wait for the shot."""

    def __init__(self) -> None:
        environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tokenproxy_site.settings"}
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", RACER, settings.REDIS_URL, str(number), str(EACH)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=environment,
            )
            for number in range(PROCESSES)
        ]
        for process in self.processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"

    def race(
        self,
        till: Till,
        *,
        seed: int,
        settles: bool,
        tokens: int = 0,
        bounds: Limits | None = None,
        other: Till | None = None,
    ) -> dict[str, int]:
        """Let all of them place at once; return how often each outcome came."""
        bounds = bounds or limits()
        order = {
            "wallet": till.wallet.pk,
            "api_keys": [each.key.pk for each in (till, other) if each],
            "member": till.member,
            "price": till.price.pk,
            "credits": CREDITS,
            "settles": settles,
            "seed": seed,
            "tokens": tokens,
            "key": asdict(bounds.key),
            "of_wallet": asdict(bounds.wallet),
            "caps": [bounds.lifetime_cap_credits, bounds.monthly_cap_credits],
            "member_caps": bounds.member_caps,
        }
        for process in self.processes:
            assert process.stdin is not None
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
        total: dict[str, int] = {}
        for process in self.processes:
            assert process.stdout is not None
            for outcome, count in json.loads(process.stdout.readline()).items():
                total[outcome] = total.get(outcome, 0) + count
        return total

    def __enter__(self) -> "Racers":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            with process:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(20)


@pytest.fixture(scope="module")
def racers() -> Iterator[Racers]:
    with Racers() as ready:
        yield ready


def test_exactly_as_many_are_admitted_as_are_paid_for(till: Till, racers: Racers) -> None:
    for seed in range(SEEDS):
        till.grant(PAID_FOR * CREDITS)

        outcomes = racers.race(till, seed=seed, settles=seed % 2 == 0)

        assert outcomes == {"admitted": PAID_FOR, "refused": PROCESSES * EACH - PAID_FOR}
        assert till.balance().available_credits == 0
        for name in till.open_requests():
            till.settle(name, CREDITS)
    till.drain()

    assert till.balance() == Balance(0, 0, 0, 0)
    assert audit(at_rest=True) == []


def test_exactly_as_many_pass_as_the_key_may_make_in_a_minute(till: Till, racers: Racers) -> None:
    till.grant(1_000_000)

    # So slow a refill that hardly one comes back while they race.
    outcomes = racers.race(
        till, seed=SEEDS, settles=False, bounds=limits({"requests_per_minute": 10})
    )

    assert outcomes["admitted"] in {10, 11, 12}
    assert sum(outcomes.values()) == PROCESSES * EACH
    assert till.balance().held_credits == outcomes["admitted"] * CREDITS


@pytest.mark.parametrize(
    ("bounds", "outcome"),
    [
        (limits(lifetime=PAID_FOR * CREDITS), "capped"),
        (limits(monthly=PAID_FOR * CREDITS), "capped"),
        (limits({"concurrent_requests": PAID_FOR}), "concurrent"),
        (limits(wallet={"concurrent_requests": PAID_FOR}), "concurrent"),
    ],
)
def test_exactly_as_many_are_admitted_as_a_limit_allows(
    till: Till, racers: Racers, bounds: Limits, outcome: str
) -> None:
    till.grant(1_000_000)

    outcomes = racers.race(till, seed=100, settles=False, bounds=bounds)

    assert outcomes == {"admitted": PAID_FOR, outcome: PROCESSES * EACH - PAID_FOR}
    assert till.figures().open_requests == PAID_FOR
    assert till.figures().held_credits == PAID_FOR * CREDITS
    for name in till.open_requests():
        till.void(name)
    assert till.figures().open_requests == till.figures().held_credits == 0


def test_a_cap_is_spent_to_the_last_credit_while_requests_end(till: Till, racers: Racers) -> None:
    till.grant(1_000_000)

    outcomes = racers.race(till, seed=101, settles=True, bounds=limits(lifetime=PAID_FOR * CREDITS))

    till.drain()
    assert outcomes == {"admitted": PAID_FOR, "capped": PROCESSES * EACH - PAID_FOR}
    assert till.figures().spent_credits == PAID_FOR * CREDITS
    assert audit(at_rest=True) == []


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize(
    "caps", [Caps(lifetime_credits=PAID_FOR * CREDITS), Caps(monthly_credits=PAID_FOR * CREDITS)]
)
def test_all_keys_of_a_member_race_to_one_cap(
    till: Till, racers: Racers, caps: Caps, settles: bool
) -> None:
    till.grant(1_000_000)
    other = till.with_another_key()
    count_member(till.wallet.pk, till.member)

    outcomes = racers.race(till, seed=103, settles=settles, bounds=limits(member=caps), other=other)

    till.drain()
    member = till.inquire(month=RACED_IN, count=0).member
    assert outcomes == {"admitted": PAID_FOR, "member capped": PROCESSES * EACH - PAID_FOR}
    assert member.spent_credits + member.held_credits == PAID_FOR * CREDITS
    assert member.open_requests == (0 if settles else PAID_FOR)
    assert till.figures().spent_credits + other.figures().spent_credits == member.spent_credits
    assert audit() == []


def test_a_cap_that_is_set_while_requests_race_is_not_passed(till: Till, racers: Racers) -> None:
    till.grant(1_000_000)
    other = till.with_another_key()
    free = racers.race(till, seed=104, settles=False, other=other)
    assert free == {"admitted": PROCESSES * EACH}
    used = PROCESSES * EACH * CREDITS

    # Counted while half of what it counts is ended by others.
    held = till.open_requests()
    with ThreadPoolExecutor(4) as pool:
        ends = [pool.submit(till.settle, name, CREDITS) for name in held[: len(held) // 2]]
        count_member(till.wallet.pk, till.member)
        for end in ends:
            end.result()
    capped = limits(member=Caps(lifetime_credits=used + PAID_FOR * CREDITS))
    outcomes = racers.race(till, seed=105, settles=True, bounds=capped, other=other)

    till.drain()
    member = till.inquire(month=RACED_IN, count=0).member
    assert outcomes == {"admitted": PAID_FOR, "member capped": PROCESSES * EACH - PAID_FOR}
    assert member.spent_credits + member.held_credits == used + PAID_FOR * CREDITS
    assert audit() == []


@pytest.mark.parametrize("whose", ["key", "wallet"])
def test_exactly_as_many_tokens_pass_as_there_may_in_a_minute(
    till: Till, racers: Racers, whose: str
) -> None:
    till.grant(1_000_000)
    # So few that hardly one comes back while they race.
    bounds = limits(**{whose: {"tokens_per_minute": 20}})  # type: ignore[arg-type]

    outcomes = racers.race(till, seed=102, settles=False, tokens=2, bounds=bounds)

    assert outcomes["admitted"] in {10, 11, 12}
    assert outcomes["admitted"] + outcomes["tokens"] == PROCESSES * EACH


async def test_one_process_of_five_hundred_tasks_admits_exactly_as_many(till: Till) -> None:
    await asyncio.to_thread(in_a_thread, lambda: till.grant(PAID_FOR * CREDITS))
    wallet = WalletClient([Connection(settings.REDIS_URL, timeout_s=30)] * keys.SHARDS)

    answers = await asyncio.gather(
        *(wallet.place(till.hold_request(f"r{n}", CREDITS)) for n in range(500)),
        return_exceptions=True,
    )

    refused = [answer for answer in answers if isinstance(answer, InsufficientCredits)]
    assert (len(answers) - len(refused), len(refused)) == (PAID_FOR, 450)
    await wallet.close()
