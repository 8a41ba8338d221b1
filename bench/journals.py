"""Measure where a call's journal could be: `python -m bench.journals`. Prints a table.

Three lines a call, 16 calls under way: in a file as the product writes it, in one that is flushed
to the disk with each line, and in a stream of a second Valkey. Decision 0018 has what it found.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median, quantiles

import orjson
import redis

from bench.machine import tree_cpu_s
from billing.wallet.connection import Connection
from billing.wallet.journal import Journal
from billing.wallet.usage import RequestFacts, Settlement
from devstack.valkey import Valkey

CALLS = int(os.environ.get("BENCH_CALLS", "3000"))
AT_ONCE = 16
NOW_MS = 1_700_000_000_000
END = Settlement(57, "completed", "reported", 19, 0, 19, 0, "openai", 1, NOW_MS + 900, 240)

# Writes one call's lines; each is there before it returns.
Write = Callable[[RequestFacts], Awaitable[None]]


class FlushedJournal(Journal):
    """A journal of which no line is lost with its machine."""

    def _append(self, file: int, line: list[object]) -> None:
        super()._append(file, line)
        os.fdatasync(file)


def facts_of(number: int) -> RequestFacts:
    """Return a call as the product knows it when it is admitted."""
    return RequestFacts(
        f"req_{number:032x}", 7, 9, 3, "gpt-4o", "/v1/chat/completions", True, NOW_MS, 4
    )


def to_journal(journal: Journal) -> Write:
    """Return what notes a call in a file."""

    async def write(facts: RequestFacts) -> None:
        journal.start(facts, 4_096)
        journal.ask(facts, 4_096, END)
        journal.end(facts, END)

    return write


def to_stream(connection: Connection) -> Write:
    """Return what notes a call in a stream, with what else goes out in that turn of the loop."""

    async def write(facts: RequestFacts) -> None:
        started = ["s", facts.as_tuple(), 4_096]
        asked = [*started, END.as_tuple()]
        ended = ["e", facts.as_tuple(), END.as_tuple()]
        for line in (started, asked, ended):
            await connection.command("XADD", "journal", "*", "line", orjson.dumps(line))

    return write


async def measure(name: str, write: Write, *, calls: int, server: int | None = None) -> None:
    """Write so many calls and print what one costs, and how long its three lines took."""
    numbers, took = iter(range(calls)), []

    async def work() -> None:
        for number in numbers:
            began = time.perf_counter()
            await write(facts_of(number))
            took.append(time.perf_counter() - began)

    server_began = tree_cpu_s(server) if server else 0.0
    began = time.process_time()
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    own = (time.process_time() - began) / calls
    of_server = (tree_cpu_s(server) - server_began) / calls if server else 0.0
    late = quantiles(took, n=100)[98]
    print(
        f"{name:<34} {own * 1e6:8.0f} µs {of_server * 1e6:8.0f} µs"
        f" {median(took) * 1e3:9.3f} ms {late * 1e3:9.3f} ms",
        flush=True,
    )


async def measure_streams(valkey: Valkey) -> None:
    """Measure a second Valkey under both policies of its append-only file."""
    for policy in ("everysec", "always"):
        with redis.Redis.from_url(valkey.url) as client:
            client.config_set("appendfsync", policy)
        connection = Connection(valkey.url, timeout_s=60)
        server = valkey.process.pid
        name = f"stream, appendfsync {policy}"
        await measure(name, to_stream(connection), calls=CALLS, server=server)
        await connection.close()


def main() -> None:
    """Print a row for each place."""
    print(f"{'three lines a call':<34} {'CPU, own':>11} {'server':>11} {'p50':>12} {'p99':>12}")
    with tempfile.TemporaryDirectory(dir=Path.cwd() / "var", prefix="journals-") as name:
        folder = Path(name)
        places = [
            ("file, written", Journal, CALLS),
            ("file, fdatasync", FlushedJournal, CALLS // 10),
        ]
        for label, kind, calls in places:
            journal = kind.open(folder / kind.__name__)
            asyncio.run(measure(label, to_journal(journal), calls=calls))
            journal.close()
        with Valkey(folder / "valkey") as valkey:
            asyncio.run(measure_streams(valkey))


if __name__ == "__main__":
    main()
