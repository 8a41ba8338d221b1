"""`python -m bench.chaos [--seed N] [--minutes M] [--short]`: strike, judge, exit 0 or 1."""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.chaos import report
from bench.chaos.customers import Account, Crowd
from bench.chaos.evidence import Evidence, read_books, read_served, read_sessions
from bench.chaos.faults import Faults
from bench.chaos.house import UP_TIMEOUT_S, House
from bench.chaos.kill_points import withdraw
from bench.chaos.probes import BalanceSampler, Prober
from bench.chaos.programs import BAD_MODELS, GOOD_MODELS
from bench.chaos.schedule import DEFAULT_MINUTES, Strike, count_kinds, make_schedule
from bench.chaos.verdict import Violation, judge, measure_recoveries
from bench.machine import Neighbours
from devstack.environment import ROOT
from devstack.errors import LaunchError
from devstack.plan import manage
from devstack.run import end_with_parent
from devstack.share import LEFT_OUT, take_share

HOME = ROOT / "var" / "chaos"
SHORT_MINUTES = 0.4
# Longer than what a dead worker may have claimed: its Stripe events are its own for 5 minutes.
CANCEL_AGAIN_S = 2.0
REST_TIMEOUT_S = 360.0
LOOK_S = 0.5
REST_POLL_S = 1.0
REST_TELL_S = 15.0
# After so many attempts the sandbox waits for a minute and more.
MANY_ATTEMPTS = 4
PACK = {"slug": "chaos", "name": "Chaos", "credits": 4_000, "price_cents": 700, "order": 99}
RICH, POOR = 3_000_000, 2_500
# One that a short run reaches, one that only a long run does.
CAPS = (600, 6_000)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    seed: int
    minutes: float
    webs: int
    nodes: int
    programs: int
    has_pooler: bool
    has_failover: bool


@dataclass
class Watched:
    """The house's visitors: those who watch, those who call and buy, those who strike."""

    sampler: BalanceSampler
    probers: list[Prober]
    crowd: Crowd
    accounts: list[Account]
    faults: Faults
    buyers: list[Account] = field(default_factory=list)
    neighbours: Neighbours = field(default_factory=Neighbours)

    async def look_around(self) -> None:
        """See what others take of the machine, until cancelled."""
        while True:
            await asyncio.to_thread(self.neighbours.look)
            await asyncio.sleep(LOOK_S)


def main() -> int:
    share = take_share(os.environ)
    options = read_options(seed=None if share.is_whole else share.seed % 1_000_000)
    if share.is_over:
        print(f"{LEFT_OUT}1 of 1 storms, seed {options.seed}")
        return 0
    folder = HOME / str(options.seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    schedule = make_schedule(
        options.seed,
        minutes=options.minutes,
        webs=options.webs,
        nodes=options.nodes,
        has_failover=options.has_failover,
    )
    announce(options, schedule, folder)
    house = House(
        folder,
        webs=options.webs,
        nodes=options.nodes,
        has_pooler=options.has_pooler,
        has_failover=options.has_failover,
    )
    try:
        house.open()
        violations = asyncio.run(run(house, options, schedule))
    except LaunchError as error:
        print(f"error: {error}\nLogs and data are in {folder}.")
        return 1
    finally:
        house.close()
    return conclude(violations, options, folder)


def read_options(*, seed: int | None) -> Options:
    """Read the command line. `seed` is that of a share of the clock, if there is one."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=None, help="how long faults go on")
    parser.add_argument("--short", action="store_true", help="less than a minute in all, for CI")
    parser.add_argument("--webs", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=1, help="servers of Redis for the wallets")
    parser.add_argument("--pooler", action="store_true", help="PgBouncer before PostgreSQL")
    parser.add_argument("--failover", action="store_true", help="a replica and a Sentinel")
    parser.add_argument("--programs", type=int, default=24, help="how many call at the same time")
    parser.add_argument("--with-parent", action="store_true", help="end with the starting process")
    given = parser.parse_args()
    if given.with_parent:
        end_with_parent()
    minutes = given.minutes or (SHORT_MINUTES if given.short else DEFAULT_MINUTES)
    chosen = next(
        (number for number in (given.seed, seed) if number is not None),
        secrets.randbelow(1_000_000),
    )
    if given.failover and given.nodes > 1:
        parser.error("--failover is for one server with a replica, not for several --nodes")
    return Options(
        seed=chosen,
        minutes=minutes,
        webs=given.webs,
        nodes=given.nodes,
        programs=given.programs,
        has_pooler=given.pooler,
        has_failover=given.failover,
    )


def announce(options: Options, schedule: list[Strike], folder: Path) -> None:
    (folder / "schedule.txt").write_text("".join(f"{strike}\n" for strike in schedule))
    counts = ", ".join(f"{count} × {kind}" for kind, count in count_kinds(schedule).items())
    print(
        f"Seed {options.seed}, {options.minutes:g} minutes, {options.webs} web processes, "
        f"{options.nodes} of Redis{', with a replica' if options.has_failover else ''}"
        f"{', behind PgBouncer' if options.has_pooler else ''}.\n"
        f"Scheduled: {counts}.\nThe schedule is in {folder / 'schedule.txt'}.",
        flush=True,
    )


async def run(house: House, options: Options, schedule: list[Strike]) -> list[Violation]:
    """Load, strike, heal, rest; then gather the evidence and judge."""
    watched = await asyncio.to_thread(open_shop, house, options)
    async with watching(watched):
        began = time.monotonic()
        load = asyncio.create_task(
            watched.crowd.run(watched.accounts, watched.buyers, programs=options.programs)
        )
        await watched.faults.run(schedule)
        # The last fault's recovery is measured too.
        await asyncio.sleep(2)
        watched.crowd.is_leaving = True
        await load
        print(f"Load and faults took {time.monotonic() - began:.0f} s.", flush=True)
        await asyncio.to_thread(heal, house)
        await asyncio.sleep(1)
    watched.crowd.save(house.folder / "requests.jsonl")
    rested_s, code, says = await asyncio.to_thread(rest, house, watched.crowd)
    print(f"At rest after {rested_s:.0f} s more; {says.strip() or 'no word'}", flush=True)
    evidence = await gather(house, watched, audit=(code, says))
    return conclude_run(house, watched, evidence)


def open_shop(house: House, options: Options) -> Watched:
    """Make customers, and wait until their keys work on every web process."""
    stack = house.stack
    crowd: dict[str, dict[str, Any]] = {
        "probe": {"credits": RICH},
        **{f"rich{number}": {"credits": RICH} for number in range(3)},
        **{f"poor{number}": {"credits": POOR} for number in range(4)},
        "slow": {"credits": RICH, "rpm": 60},
        **{f"capped{cap}": {"credits": RICH, "cap": cap} for cap in CAPS},
        **{f"member{cap}": {"credits": RICH, "member_cap": cap} for cap in CAPS},
        # A team of several, who spend one balance.
        **{
            f"colleague{cap}": {"credits": 0, "member_cap": cap, "joins": "rich0@chaos.example"}
            for cap in CAPS
        },
    }
    people = [
        {
            "email": f"{name}@chaos.example",
            "password": secrets.token_urlsafe(12),
            "rpm": 100_000,
            **facts,
        }
        for name, facts in crowd.items()
    ]
    wanted = {
        "pack": PACK,
        "providers": {"chaos": {**GOOD_MODELS, **BAD_MODELS}},
        "upstream": {
            "base_url": f"{stack.upstream_url}/v1",
            "secret": stack.env["SANDBOX_UPSTREAM_KEY"],
        },
        "customers": people,
    }
    made = json.loads(house.run_script("bench.chaos.people", json.dumps(wanted)).splitlines()[-1])
    probe, *accounts = [Account(**customer) for customer in made]
    wallet_ids = sorted({account.wallet_id for account in (probe, *accounts)})
    return Watched(
        sampler=BalanceSampler(house.servers, wallet_ids),
        probers=[
            Prober(role, url, probe.secret, "gpt-4o")
            for role, url in zip(house.web_roles, stack.web_urls, strict=True)
        ],
        crowd=Crowd(
            web_urls=stack.web_urls,
            stripe_url=stack.stripe_url,
            stripe_key=stack.env["STRIPE_SECRET_KEY"],
            pack_slug=str(PACK["slug"]),
            seed=options.seed,
        ),
        accounts=accounts,
        buyers=[account for account in accounts if account.email.startswith("poor")],
        faults=Faults(house),
    )


async def end_all(tasks: list[asyncio.Task[None]]) -> list[BaseException | None]:
    """Cancel tasks until they have ended, and return how each did.

    Once is not enough: a client that is timing out at that instant takes the cancellation for its
    own, and goes on.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    return await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def watching(watched: Watched) -> AsyncIterator[None]:
    """Sample and probe as long as the block runs."""
    tasks = [asyncio.create_task(run) for run in watched.sampler.runs()]
    tasks += [asyncio.create_task(watched.look_around())]
    tasks += [asyncio.create_task(prober.run()) for prober in watched.probers]
    try:
        yield
    finally:
        ended = await end_all(tasks)
    for problem in ended:
        if isinstance(problem, Exception):
            raise problem


def heal(house: House) -> None:
    """Take every order back and wait until all is up. Raises LaunchError."""
    for role in (*house.web_roles, "worker", "beat"):
        withdraw(house.orders, role)
    # A worker that could do nothing between two strikes has old messages to drop first.
    house.stack.await_ready(timeout_s=UP_TIMEOUT_S)


def rest(house: House, crowd: Crowd) -> tuple[float, int, str]:
    """Wait until every payment is booked and the books are at rest; return how the audit ended."""
    began = time.monotonic()
    told_s = 0.0
    while True:
        waited_s = time.monotonic() - began
        unbooked = find_unbooked(house, crowd)
        code, says = (1, f"not booked yet: {', '.join(unbooked)}") if unbooked else audit(house)
        if code == 0 or waited_s > REST_TIMEOUT_S:
            return time.monotonic() - began, code, says
        if waited_s - told_s > REST_TELL_S:
            told_s = waited_s
            print(f"Not at rest after {waited_s:.0f} s: {says.strip()}", flush=True)
        hurry_stripe(house)
        time.sleep(REST_POLL_S)


def audit(house: House) -> tuple[int, str]:
    """Let the product check its own books."""
    done = subprocess.run(
        manage("audit_money", "--at-rest"),
        env=house.stack.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def find_unbooked(house: House, crowd: Crowd) -> list[str]:
    """Return payments and refunds that a customer saw succeed and that are not booked yet."""
    _, orders, _ = read_books(house.stack.env["DATABASE_URL"])
    credited = {row["stripe_session_id"] for row in orders if row["entries"]}
    refunded = {row["stripe_session_id"] for row in orders if row["refunded_cents"]}
    return [
        *(f"payment {session}" for session in crowd.paid_sessions if session not in credited),
        *(f"refund of {session}" for session in crowd.refunded if session not in refunded),
        *(f"return of {row['public_id']}" for row in orders if row["open_refunds"]),
    ]


def hurry_stripe(house: House) -> None:
    """Have events sent now whose next try would be minutes away."""
    url = f"{house.stack.stripe_url}/sandbox"
    with httpx.Client(trust_env=False, timeout=10) as http:
        for delivery in http.get(f"{url}/state").raise_for_status().json()["deliveries"]:
            if delivery["status"] == "pending" and delivery["attempts"] >= MANY_ATTEMPTS:
                http.post(f"{url}/events/{delivery['event_id']}/resend").raise_for_status()


async def gather(house: House, watched: Watched, *, audit: tuple[int, str]) -> Evidence:
    stack = house.stack
    receipts, orders, inbox = read_books(stack.env["DATABASE_URL"])
    return Evidence(
        seen=watched.crowd.requests,
        receipts=receipts,
        served=await read_served(stack.upstream_url),
        orders=orders,
        sessions=await read_sessions(stack.stripe_url, stack.env["STRIPE_SECRET_KEY"]),
        overdrawn=watched.sampler.overdrawn,
        audit_code=audit[0],
        audit_says=audit[1],
        inbox=inbox,
        accounts=watched.accounts,
        hits=watched.faults.hits,
    )


def conclude_run(house: House, watched: Watched, evidence: Evidence) -> list[Violation]:
    """Print the tables and return what is wrong."""
    hits = watched.faults.hits
    recoveries = measure_recoveries(hits, watched.probers, watched.neighbours)
    print(report.show_faults(hits), end="")
    print(report.show_requests(watched.crowd, evidence), end="")
    print(report.show_orders(watched.crowd, evidence), end="")
    print(report.show_watch(watched.sampler, watched.probers, house.deaths), end="")
    print(report.show_recoveries(recoveries), flush=True)
    late = [
        Violation("back within 10 s", recovery.hit.target, f"{recovery}")
        for recovery in recoveries
        if recovery.is_late
    ]
    failed = [Violation("the strikes themselves", "harness", e) for e in watched.faults.errors]
    return judge(evidence) + late + failed


def conclude(violations: list[Violation], options: Options, folder: Path) -> int:
    again = f"CHAOS_SEED={options.seed} CHAOS_MINUTES={options.minutes:g}"
    if options.nodes > 1:
        again += f" CHAOS_NODES={options.nodes}"
    if options.has_pooler:
        again += " CHAOS_POOLER=1"
    if options.has_failover:
        again += " CHAOS_FAILOVER=1"
    if not violations:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"Nothing lost, nothing charged twice. Strike again: make chaos {again}")
        return 0
    (folder / "violations.txt").write_text("".join(f"{violation}\n" for violation in violations))
    for violation in violations[:60]:
        print(f"VIOLATION {violation}")
    print(
        f"{len(violations)} violations. Logs, data and all of them are in {folder}.\n"
        f"Strike again: make chaos {again}"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
