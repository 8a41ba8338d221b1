"""Measure one well-behaved client beside each hostile family in turn, on one web process.

    python -m bench.fairness [NAME …]

The good client sends short chats, one after the other. Beside each family its 99th percentile must
stay within 100 ms of its quiet one, times what this machine is slower than the one that the limit
was set on; no request of it may fail; and the web process must give its memory back. A family that
misses is measured again, and counts if it misses each time. Within a share of the clock
(`devstack/share.py`), a sample of the families.
"""

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bench.fairness.families import SENT
from devstack.environment import ROOT
from devstack.ports import free_port
from devstack.process import Process
from devstack.ready import await_port
from devstack.share import Sample, take_share
from devstack.stack import Stack

QUIET_S = 8.0
BEGIN_S = 1.0
MEASURE_S = 6.0
# After a family, until what it left behind has been noticed: a header's time-out, and some.
CALM_S = 2.0
PAUSE_S = 0.02
# A good client gives up after this; it must not.
PATIENCE_S = 30.0
# What this machine does beside us may slow a client down as well, but hardly each time.
TRIES = 3
LIMIT_MS = 100.0
# Steps a second of the loop below, on the machine that the limit was set on.
REFERENCE = 20_000_000
LOOP_STEPS = 1_000_000
# What a process may keep of a family's memory: its allocator gives back in large pieces alone.
KEPT_MB = 160
# Of an upstream of its own: what the others make of theirs is not the product's.
GOOD_MODEL = "good-model"
WORDS = {"model": GOOD_MODEL, "max_tokens": 5}
UPSTREAM_KEY = "sk-fairness"
OPEN_SHOP = """
import json
from accounts.models import User
from accounts.teams.members import own_seat
from billing.keys.api_keys import issue_api_key
from billing.ledger.wallets import grant_credits, wallet_of
from billing.wallet.sync_client import get_sync_client
from billing.ledger.pushes import push_if_possible

def open_account(email):
    user = User.objects.create_user(email)
    grant_credits(wallet_of(user), credits=10**12, reason="fairness")
    key, secret = issue_api_key(own_seat(user), name="fairness")
    key.requests_per_minute = 100_000
    if email.startswith("good"):
        key.save()
    push_if_possible(wallet_of(user).pk)
    return secret

print(json.dumps([open_account(f"{who}@example.com") for who in __NAMES__]))
"""


@dataclass(frozen=True)
class Row:
    """What the good client saw beside a family."""

    name: str
    served: int
    failed: int
    median_ms: float
    p99_ms: float
    peak_mb: float
    kept_mb: float
    slowness: float
    answers: str = ""

    def misses(self, quiet: "Row") -> list[str]:
        """Return what is wrong."""
        wrong = []
        allowed = LIMIT_MS * max(self.slowness, quiet.slowness)
        if self.p99_ms > quiet.p99_ms + allowed:
            wrong.append(f"p99 is over {quiet.p99_ms + allowed:.0f} ms")
        if self.failed or not self.served:
            wrong.append(f"{self.failed} failed")
        if self.kept_mb - quiet.kept_mb > KEPT_MB:
            wrong.append("memory is not given back")
        return wrong

    def line(self, verdict: str) -> str:
        return (
            f"{self.name:<36} {self.served:>5} {self.failed:>6} {self.median_ms:>7.1f} "
            f"{self.p99_ms:>7.1f} {self.peak_mb:>7.0f} {self.kept_mb:>7.0f} {self.slowness:>6.1f}"
            f"  {verdict:<4} {self.answers}"
        )


HEADER = (
    f"{'beside':<36} {'good':>5} {'failed':>6} {'p50 ms':>7} {'p99 ms':>7} {'peak MB':>7} "
    f"{'left MB':>7} {'slow ×':>6}"
)


class GoodClient:
    """Sends short chats, one after the other."""

    def __init__(self, url: str, secret: str) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {secret}"}
        self._number = 0

    async def measure(self, seconds: float) -> tuple[list[float], int]:
        """Return how long each chat took, in ms, and how many failed."""
        took, failed = [], 0
        ends_at = time.monotonic() + seconds
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            while time.monotonic() < ends_at:
                self._number += 1
                started = time.perf_counter()
                if await self._ask(session):
                    took.append((time.perf_counter() - started) * 1_000)
                else:
                    failed += 1
                await asyncio.sleep(PAUSE_S)
        return took, failed

    async def _ask(self, session: aiohttp.ClientSession) -> bool:
        text = f"Number {self._number}: hello!"
        body = {**WORDS, "messages": [{"role": "user", "content": text}]}
        try:
            async with session.post(self._url, json=body) as response:
                await response.read()
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False


class Bench:
    """One stack, and what is measured on it."""

    def __init__(self, stack: Stack, secrets: Sequence[str]) -> None:
        self._stack = stack
        self._good = GoodClient(stack.url, secrets[0])
        self._secrets = dict(zip(SENT, secrets[1:], strict=True))

    def measure_quiet(self) -> Row:
        """Measure without anybody else."""
        asyncio.run(self._good.measure(2.0))
        took, failed = asyncio.run(self._good.measure(QUIET_S))
        return self._row("nobody", took, failed, self._memory_mb())

    def measure(self, name: str) -> Row:
        """Measure beside a family."""
        said: list[str] = []
        seconds = BEGIN_S + MEASURE_S
        port = self._stack.site.web_ports[0]
        hostile = Process(
            "hostile",
            [
                *(sys.executable, "-m", "bench.fairness.hostile", name),
                *("--port", str(port), "--seconds", str(seconds)),
            ],
            output=said.append,
            env={**os.environ, "FAIRNESS_KEY": self._secrets[name]},
            cwd=ROOT,
        )
        hostile.start()
        try:
            time.sleep(BEGIN_S)
            took, failed = asyncio.run(self._good.measure(MEASURE_S))
            peak_mb = self._memory_mb()
            hostile.wait(seconds + PATIENCE_S)
        finally:
            hostile.stop()
        time.sleep(CALM_S)
        return self._row(name, took, failed, peak_mb, said[-1] if said else "nothing was sent")

    def is_fair(self, name: str, quiet: Row) -> bool:
        """Measure beside a family, print its row, and tell whether nothing is wrong."""
        row = self.measure(name)
        wrong = row.misses(quiet)
        print(row.line("; ".join(wrong) or "ok"), flush=True)
        return not wrong

    def _row(
        self, name: str, took: list[float], failed: int, peak_mb: float, answers: str = ""
    ) -> Row:
        ordered = sorted(took) or [0.0]
        return Row(
            name=name,
            served=len(took),
            failed=failed,
            median_ms=ordered[len(ordered) // 2],
            p99_ms=ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
            peak_mb=peak_mb,
            kept_mb=self._memory_mb(),
            slowness=find_slowness(),
            answers=answers,
        )

    def _memory_mb(self) -> float:
        status = Path(f"/proc/{self._stack.web[0].pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1_024


def find_slowness() -> float:
    """Return how many times slower than the reference this machine is now, other load included."""
    started, total = time.perf_counter(), 0
    for number in range(LOOP_STEPS):
        total += number * number % 7
    return max(1.0, (time.perf_counter() - started) * REFERENCE / LOOP_STEPS)


@contextmanager
def own_upstream(stack: Stack) -> Iterator[None]:
    """Sell the good client's model, served by an emulator that serves nobody else."""
    port = free_port()
    emulator = Process(
        "good upstream",
        [
            *(sys.executable, "-m", "sandbox.upstream"),
            *("--port", str(port), "--api-key", UPSTREAM_KEY),
        ],
        output=lambda line: None,
        env=stack.env,
        cwd=ROOT,
    )
    emulator.start()
    try:
        await_port(emulator, port)
        stack.manage(
            *("add_provider", "good", "--base-url", f"http://127.0.0.1:{port}/v1"),
            *("--api-key", UPSTREAM_KEY, "--model", GOOD_MODEL, "--default-price"),
        )
        yield
    finally:
        emulator.stop()


def open_shop(stack: Stack) -> list[str]:
    """Make the good client and one customer for each family; return their keys."""
    names = ["good", *(f"hostile{number}" for number in range(len(SENT)))]
    script = OPEN_SHOP.replace("__NAMES__", repr(names))
    printed = stack.manage("shell", "--no-imports", "-c", script)
    secrets: list[str] = json.loads(printed.strip().split("\n")[-1])
    return secrets


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the families and print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a part of families' names")
    options = parser.parse_args(arguments)
    sample = Sample(take_share(os.environ))
    chosen = [name for name in SENT if any(part in name for part in options.names or [""])]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 20_000), most))
    missed = 0
    with (
        tempfile.TemporaryDirectory(prefix="fairness-") as folder,
        Stack(Path(folder)) as stack,
        own_upstream(stack),
    ):
        bench = Bench(stack, open_shop(stack))
        quiet = bench.measure_quiet()
        print(f"{HEADER}\n{quiet.line('')}", flush=True)
        for name in sample.share.order(chosen):
            if not sample.wants(name):
                continue
            missed += not any(bench.is_fair(name, quiet) for _ in range(TRIES))
    print(sample.tell(len(chosen), "families"))
    print(f"{missed} families slowed the good client or kept memory" if missed else "Fair to all.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
