"""The table as data: what is run, and which figures of it are shown. A new row is a line here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.table import prompts

FAST_CHUNKS, FAST_EVERY_MS = 150, 20
SLOW_CHUNKS, SLOW_EVERY_MS = 10, 1_000
# The least that a run may be shortened to by a quick measurement.
LEAST_S = 1.0


@dataclass(frozen=True)
class Run:
    """One load on one gateway. A stream's length is its own; `ramp_ms` is how far apart they begin.

    `rest_s` is waited for what is still to be booked; `watches_memory` looks at it meanwhile.
    """

    body: Callable[[], dict[str, Any]]
    connections: int
    seconds: float = 4.0
    chunks: int = 0
    ramp_ms: int = 0
    rest_s: float = 0.0
    watches_memory: bool = False
    only: str | None = None


@dataclass(frozen=True)
class Figure:
    """A line of the table: a figure by its key in what `measure` returns."""

    run: str
    key: str
    title: str
    digits: int


RUNS: dict[str, Run] = {
    "json-1k": Run(lambda: prompts.chat(prompts.PLAIN_MODEL, 1_000), 32),
    "json-20k": Run(lambda: prompts.chat(prompts.PLAIN_MODEL, 20_000), 32),
    "json-100k": Run(lambda: prompts.agent(prompts.PLAIN_MODEL, 100_000), 32),
    "json-400k": Run(lambda: prompts.agent(prompts.PLAIN_MODEL, 400_000), 32),
    "latency": Run(lambda: prompts.chat(prompts.PLAIN_MODEL, 1_000), 1, seconds=3.0),
    "streams": Run(lambda: prompts.stream(FAST_CHUNKS, FAST_EVERY_MS), 100, chunks=FAST_CHUNKS),
    "slow-streams": Run(
        lambda: prompts.stream(SLOW_CHUNKS, SLOW_EVERY_MS),
        1_000,
        chunks=SLOW_CHUNKS,
        ramp_ms=SLOW_EVERY_MS,
        watches_memory=True,
    ),
    "helpers": Run(
        lambda: prompts.chat(prompts.PLAIN_MODEL, 1_000), 32, rest_s=3.0, only="product"
    ),
}
MODELS = sorted({run.body()["model"] for run in RUNS.values()})

FIGURES = (
    Figure("json-1k", "cpu_ms", "JSON 1 kB, 32 connections: CPU-ms per request", 3),
    Figure("json-20k", "cpu_ms", "JSON 20 kB, 32 connections: CPU-ms per request", 3),
    Figure("json-100k", "cpu_ms", "agent prompt 100 kB, 12 tools, 42 messages: CPU-ms", 2),
    Figure("json-400k", "cpu_ms", "the same, 400 kB: CPU-ms per request", 2),
    Figure("latency", "p50_ms", "JSON 1 kB, 1 connection: p50 in ms", 2),
    Figure("streams", "cpu_us_per_chunk", "100 fast streams: CPU-µs per chunk", 0),
    Figure("streams", "first_p50_ms", "100 fast streams: first chunk after, p50 in ms", 1),
    Figure("streams", "delay_p99_ms", "100 fast streams: a chunk's delay, p99 in ms", 1),
    Figure("slow-streams", "delay_p99_ms", "1,000 slow streams: a chunk's delay, p99 in ms", 1),
    Figure("slow-streams", "memory_mib", "1,000 slow streams: memory above idle in MiB", 0),
    Figure("helpers", "helpers_ms", "Valkey, worker, beat, PostgreSQL: CPU-ms per request", 2),
)
