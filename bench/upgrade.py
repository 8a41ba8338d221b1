"""Roll from one version to another and back under load, and see that nobody notices.

    python -m bench.upgrade [--rounds 10] [--old REF]

Two web processes, a worker and beat run. In each round they are replaced one after the other by
those of the other version: the present tree, or the tree of a commit with a function library that
counts as older. Clients stream all the while and, as an edge does, turn to the other process when
one accepts no connection. Each stream must come to its end marker and be charged exactly what it
announces, no request may fail otherwise, and the wallets may not be rebuilt: what was open stays
open.
"""

import argparse
import asyncio
import json
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import count
from pathlib import Path

import aiohttp
import redis

from bench.drain import (
    BEGIN_WITHIN_S,
    LEAVE_WITHIN_S,
    READ_RECORDS,
    Stream,
    await_rest,
    question,
)
from devstack.environment import ROOT
from devstack.process import Process
from devstack.ready import await_ok
from devstack.stack import Stack

CLIENTS = 10
READY_WITHIN_S = 120.0
# Half a second to two: some are under way at each moment of a restart.
DIRECTIVES = "[[tokens={}]] [[tps=20]]"
LIBRARY = Path("billing/wallet/lua/library.lua")
REBUILT = re.compile(r"wallets_rebuilt")


@dataclass
class Seen:
    """What came of it."""

    streams: list[Stream] = field(default_factory=list)
    restarts: int = 0
    exit_codes: set[int | None] = field(default_factory=set)

    @property
    def broken(self) -> list[Stream]:
        return [each for each in self.streams if each.trouble or not each.is_whole]

    def mischarged(self, charged: dict[str, int]) -> list[Stream]:
        return [each for each in self.streams if charged.get(each.request_id) != each.due_credits]


def check_out(reference: str, folder: Path) -> Path:
    """Lay out the tree of a commit, with a library that every newer worker replaces."""
    packed = subprocess.run(
        ["git", "archive", reference],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
    library = folder / LIBRARY
    library.write_text(re.sub(r"local VERSION = '\d+'", "local VERSION = '0'", library.read_text()))
    return folder


class Roll:
    """The stack's processes, of which each may be of either version."""

    def __init__(self, stack: Stack, trees: Sequence[Path]) -> None:
        self._stack = stack
        self._trees = trees
        self.seen = Seen()

    async def restart_all(self, round_number: int) -> None:
        """Replace each process by one of the other version, when the one before is ready."""
        tree = self._trees[round_number % len(self._trees)]
        # First, because it loads the library that web processes of its version may need.
        await self._replace(self._stack.worker, tree)
        # A worker of the other version may need what only its own beat asks for.
        await self._replace(self._stack.beat, tree)
        await asyncio.to_thread(self._stack.await_ready, READY_WITHIN_S)
        for index, url in enumerate(self._stack.web_urls):
            await self._replace(self._stack.web[index], tree)
            needs = [self._stack.web[index]]
            await asyncio.to_thread(
                await_ok, f"{url}/readyz", needs=needs, timeout_s=READY_WITHIN_S
            )

    async def _replace(self, process: Process, tree: Path) -> None:
        process.signal(signal.SIGTERM)
        self.seen.exit_codes.add(await asyncio.to_thread(process.wait, LEAVE_WITHIN_S))
        self.seen.restarts += 1
        process.cwd = tree
        await asyncio.to_thread(process.start)


async def ask(
    session: aiohttp.ClientSession, urls: Sequence[str], secret: str, number: int
) -> Stream:
    """Stream once, from the first process that accepts the connection."""
    stream = Stream(number)
    body = {
        **question(f"{DIRECTIVES.format(10 + number % 30)} {number}"),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    headers = {"authorization": f"Bearer {secret}"}
    for attempt in range(len(urls)):
        url = f"{urls[(number + attempt) % len(urls)]}/v1/chat/completions"
        try:
            async with session.post(url, json=body, headers=headers) as response:
                stream.request_id = response.headers["x-request-id"]
                response.raise_for_status()
                async for line in response.content:
                    if line.startswith(b"data: "):
                        stream.events.append(line[6:].strip().decode())
            return replace(stream, trouble="")
        except aiohttp.ClientConnectorError as error:
            stream.trouble = repr(error)
        except (aiohttp.ClientError, OSError) as error:
            stream.trouble = repr(error)
            break
    return stream


async def roll(stack: Stack, trees: Sequence[Path], secret: str, rounds: int) -> Seen:
    """Restart everything so often, under clients that stream one after the other."""
    rolling, numbers = Roll(stack, trees), count()
    has_begun, is_over = asyncio.Event(), asyncio.Event()
    # Each call opens a connection of its own, as one that an edge did not keep.
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def stream_on() -> None:
            while not is_over.is_set():
                rolling.seen.streams.append(
                    await ask(session, stack.web_urls, secret, next(numbers))
                )
                has_begun.set()

        clients = [asyncio.create_task(stream_on()) for _ in range(CLIENTS)]
        try:
            async with asyncio.timeout(BEGIN_WITHIN_S):
                await has_begun.wait()
            for number in range(rounds):
                await rolling.restart_all(number)
        finally:
            is_over.set()
            await asyncio.gather(*clients)
    return rolling.seen


def begin_with(stack: Stack, tree: Path) -> None:
    """Start worker and beat of the older version, on an empty Redis, as if they had been the first.

    Only then is there an older library to replace: a worker leaves a newer one alone.
    """
    background = (stack.worker, stack.beat)
    for process in background:
        process.stop()
    if stack.valkey is None:
        raise RuntimeError("the stack has no Redis of its own")
    with redis.Redis.from_url(stack.valkey.url) as server:
        server.flushall()
        server.function_flush()
    for process in background:
        process.cwd = tree
        process.start()
    stack.await_ready(READY_WITHIN_S)


def loaded_version(stack: Stack) -> int:
    """Return the version of the library that Redis has."""
    with redis.Redis.from_url(stack.env["REDIS_URL"]) as server:
        return int(server.fcall("tp_version", 0))


def count_rebuilds(folder: Path) -> int:
    """Return how often wallets were rebuilt, by what the worker wrote."""
    return len(REBUILT.findall((folder / "log" / "worker.log").read_text()))


def report(
    seen: Seen, charged: dict[str, int], *, rebuilds: int, libraries: tuple[int, int], audit: str
) -> tuple[str, bool]:
    """Return the table, and whether nobody noticed anything."""
    mischarged = seen.mischarged(charged)
    rows = [
        ("processes replaced", f"{seen.restarts}, exits {sorted(map(str, seen.exit_codes))}"),
        ("streams", f"{len(seen.streams):,}"),
        ("cut or refused", f"{len(seen.broken)}"),
        ("not charged exactly what they announced", f"{len(mischarged)}"),
        ("function library before and after", "versions {} and {}".format(*libraries)),
        ("rebuilds of wallets", f"{rebuilds}"),
        ("audit_money", audit or "every invariant holds"),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"  {name:<{width}}  {value}" for name, value in rows]
    lines += [
        f"  stream {each.number}: {each.trouble or 'no end marker'}" for each in seen.broken[:10]
    ]
    was_replaced = libraries[0] < libraries[1]
    is_good = bool(seen.streams) and was_replaced
    is_good = is_good and not (seen.broken or mischarged or rebuilds or audit)
    return "\n".join(lines), is_good


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.upgrade", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--old", default="HEAD", help="A commit. Its library counts as older.")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="upgrade-") as name:
        folder = Path(name)
        old = check_out(options.old, folder / "old")
        with Stack(folder / "stack", webs=2) as stack:
            secret = stack.manage("issue_key", "roll@example.com").split()[-1]
            stack.manage("grant_credits", "roll@example.com", "100000000", "--reason", "upgrades")
            begin_with(stack, old)
            before, older = count_rebuilds(stack.folder), loaded_version(stack)
            seen = asyncio.run(roll(stack, (ROOT, old), secret, options.rounds))
            rebuilds = count_rebuilds(stack.folder) - before
            libraries = (older, loaded_version(stack))
            audit = await_rest(stack)
            said = stack.manage("shell", "--no-imports", "-c", READ_RECORDS)
            charged = json.loads(said.split("\n")[-2])
    table, is_good = report(seen, charged, rebuilds=rebuilds, libraries=libraries, audit=audit)
    print(f"Everything was replaced {options.rounds} times under {CLIENTS} streams:\n\n{table}")
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
