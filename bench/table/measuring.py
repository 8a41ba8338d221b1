"""One run on one gateway: the load is sent, and what it cost is read from /proc."""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.machine import (
    MOST_OTHERS,
    TooBusy,
    say_busy,
    take_moment,
    tree_cpu_s,
    tree_memory_mib,
)
from bench.table import prompts
from bench.table.gateways import Running
from bench.table.rows import Run
from bench.table.wire import Wire
from devstack.environment import ROOT

TRIES = 3
# After a failed warm-up.
PAUSE_S = 2.0
# Of a processor: one who works this much has no time to spare.
IS_SATURATED = 0.9
MEMORY_EVERY_S = 0.5
LONGEST_S = 180.0


class LoadFailed(Exception):
    """A gateway did not answer as it should. The message has its first wrong answer."""


@dataclass
class Measured:
    """The figures of a run by their keys, and what speaks against them."""

    figures: dict[str, float]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """What a run needs. `is_lenient`: a busy machine is noted instead of refused."""

    wire: Wire
    folder: Path
    upstream_pid: int
    is_lenient: bool = False

    def measure(self, name: str, run: Run, gateway: Running) -> Measured:
        """Measure, again if the machine was busy meanwhile. Raises TooBusy, LoadFailed."""
        for attempt in range(TRIES):
            before = take_moment()
            measured = self._measure_once(name, run, gateway)
            others = take_moment().others_since(before)
            if others <= MOST_OTHERS:
                return measured
            if self.is_lenient:
                measured.notes.append(f"others took {others:.0%} of the machine")
                return measured
            if attempt < TRIES - 1:
                time.sleep(attempt + 1.0)
        raise TooBusy(say_busy(others, f"during {name} on {gateway.title}, {TRIES} times over"))

    def _measure_once(self, name: str, run: Run, gateway: Running) -> Measured:
        request = self._write_request(run, gateway)
        idle_mib = tree_memory_mib(gateway.pid) if run.watches_memory else 0.0
        cpu_s, before_s = tree_cpu_s(gateway.pid), _helpers_cpu_s(gateway)
        upstream_s = tree_cpu_s(self.upstream_pid)
        with _peak_memory(gateway.pid, is_watching=run.watches_memory) as peak:
            seen = self._send(run, gateway, request)
        upstream_s = tree_cpu_s(self.upstream_pid) - upstream_s
        # What is settled after the answer belongs to it, too.
        time.sleep(max(run.rest_s, 0.2))
        cpu_s = tree_cpu_s(gateway.pid) - cpu_s
        requests = seen["requests"]
        after_s = _helpers_cpu_s(gateway)
        helpers_ms = {name: (after_s[name] - before_s[name]) * 1e3 / requests for name in after_s}
        return Measured(
            {
                **{key: seen[key] for key in ("p50_ms", "first_p50_ms", "delay_p99_ms")},
                "requests_s": requests / seen["wall_s"],
                "cpu_ms": cpu_s * 1e3 / requests,
                "cpu_us_per_chunk": cpu_s * 1e6 / max(1, seen["chunks"]),
                "helpers_ms": sum(helpers_ms.values()),
                "memory_mib": max([idle_mib, *peak]) - idle_mib,
            },
            [
                *_find_bottlenecks(seen["cpu_s"], upstream_s, seen["wall_s"]),
                *([_tell(helpers_ms)] if run.rest_s else []),
            ],
        )

    def warm_up(self, run: Run, gateway: Running) -> None:
        """Let a gateway open its connections and compile what it compiles. Raises LoadFailed.

        It may fail at first: what has just started may not be ready for 32 clients at once.
        """
        request = self._write_request(run, gateway)
        for _ in range(TRIES - 1):
            with contextlib.suppress(LoadFailed):
                self._send(run, gateway, request)
                return
            time.sleep(PAUSE_S)
        self._send(run, gateway, request)

    def _write_request(self, run: Run, gateway: Running) -> Path:
        request = self.folder / "request"
        request.write_bytes(prompts.as_http(run.body(), gateway.headers))
        return request

    def _send(self, run: Run, gateway: Running, request: Path) -> dict[str, float]:
        kind = "streams" if run.chunks else "json"
        amount = [str(run.chunks), str(run.ramp_ms)] if run.chunks else [str(run.seconds)]
        command = [*self.wire.load, kind, str(gateway.port), str(run.connections), *amount]
        try:
            done = subprocess.run(
                [*command, str(request)],
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LoadFailed(f"the load did not end within {LONGEST_S:.0f} s") from error
        if done.returncode:
            raise LoadFailed(done.stderr.strip() or f"the load ended with {done.returncode}")
        seen = json.loads(done.stdout)
        if seen["errors"] or not seen["requests"]:
            raise LoadFailed(f"{seen['errors']} errors, the first: {seen['first_error'] or '?'}")
        return dict(seen)


def _helpers_cpu_s(gateway: Running) -> dict[str, float]:
    return {name: tree_cpu_s(pid) for name, pid in gateway.helpers.items()}


def _tell(helpers_ms: Mapping[str, float]) -> str:
    return "CPU-ms: " + ", ".join(f"{name} {spent:.2f}" for name, spent in helpers_ms.items())


def _find_bottlenecks(load_s: float, upstream_s: float, wall_s: float) -> list[str]:
    """Say whether the measurement's own tools, which share processors, were the slowest part."""
    found = []
    for name, spent_s in (("load generator", load_s), ("fake upstream", upstream_s)):
        if spent_s > IS_SATURATED * wall_s:
            found.append(f"the {name} was busy for {spent_s / wall_s:.0%} of the time")
    # What gateways leave free: one processor less than there are, and one if there is one.
    free = max(1, (os.cpu_count() or 1) - 1)
    if not found and load_s + upstream_s > IS_SATURATED * wall_s * free:
        found.append("load generator and fake upstream were busy all the time together")
    return found


@contextlib.contextmanager
def _peak_memory(pid: int, *, is_watching: bool) -> Iterator[list[float]]:
    """Collect how much memory a tree has, in MiB, while the block runs."""
    seen: list[float] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(MEMORY_EVERY_S):
            seen.append(tree_memory_mib(pid))

    watcher = threading.Thread(target=watch, daemon=True)
    if is_watching:
        watcher.start()
    try:
        yield seen
    finally:
        done.set()
        if is_watching:
            watcher.join()
