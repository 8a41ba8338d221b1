"""What this machine does beside us, and how fast it is: what every figure must be read with."""

import os
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import redis

TICKS = os.sysconf("SC_CLK_TCK")
LOOP_STEPS = 100_000
LOOPS = 5
CALLS = 2_000
# An empty function: what the server and a round trip cost.
NOTHING = "#!lua name=bench_nothing\nredis.register_function('bench_nothing', function() end)"
# The rest may take this share of the machine; of more, nobody can tell what it did to a figure.
MOST_OTHERS = 0.10
# The fixed loop may differ by this between rounds.
MOST_DRIFT = 1.5
# What others take of the machine is allowed for up to here; beyond it, everything would be in time.
MOST_ALLOWED = 0.9
WATCH_S = 2.0


class TooBusy(Exception):
    """The machine does too much else for a figure to mean something."""


@dataclass(frozen=True)
class Calibration:
    """How fast the machine was just then."""

    loop_steps_s: float
    calls_s: float | None
    load: float

    def words(self) -> str:
        calls = "" if self.calls_s is None else f", {self.calls_s / 1_000:.1f}k calls/s"
        return f"{self.loop_steps_s / 1e6:.1f}M steps/s{calls}, load {self.load:.1f}"


def calibrate(redis_url: str | None) -> Calibration:
    """Time a fixed loop of Python, and empty function calls on a server."""
    load = os.getloadavg()[0]
    return Calibration(time_loop(), None if redis_url is None else time_calls(redis_url), load)


def time_loop() -> float:
    """Return steps a second of a fixed loop, the fastest of a few.

    By processor time: who else has work is another figure, and some of that is ours.
    """
    return max(_time_loop() for _ in range(LOOPS))


def _time_loop() -> float:
    started, total = time.process_time(), 0
    for number in range(LOOP_STEPS):
        total += number * number % 7
    return LOOP_STEPS / (time.process_time() - started)


def time_calls(redis_url: str) -> float:
    """Return calls a second of an empty function, one after the other."""
    client = redis.Redis.from_url(redis_url)
    try:
        client.function_load(NOTHING, replace=True)
        started = time.perf_counter()
        for _ in range(CALLS):
            client.fcall("bench_nothing", 0)
        return CALLS / (time.perf_counter() - started)
    finally:
        client.close()


def median_of(calibrations: Iterable[Calibration]) -> Calibration:
    """Return what is in the middle."""
    several = list(calibrations)
    calls = [each.calls_s for each in several if each.calls_s is not None]
    return Calibration(
        statistics.median(each.loop_steps_s for each in several),
        statistics.median(calls) if calls else None,
        statistics.median(each.load for each in several),
    )


def check_drift(calibrations: Iterable[Calibration]) -> None:
    """Raises TooBusy if the fixed loop was much faster at one time than at another."""
    speeds = [each.loop_steps_s for each in calibrations]
    if max(speeds) > MOST_DRIFT * min(speeds):
        raise TooBusy(
            f"a fixed loop made {min(speeds) / 1e6:.1f} to {max(speeds) / 1e6:.1f} million steps "
            f"a second; more than {MOST_DRIFT} times apart, rounds can't be compared"
        )


@dataclass(frozen=True)
class Moment:
    """Processor seconds so far: of the whole machine, and of everything that we started."""

    clock_s: float
    machine_s: float
    ours_s: float

    def others_since(self, before: "Moment") -> float:
        """Return the share of the machine that others took, stolen time included."""
        others = (self.machine_s - before.machine_s) - (self.ours_s - before.ours_s)
        return max(0.0, others / (self.clock_s - before.clock_s) / (os.cpu_count() or 1))


@dataclass
class Neighbours:
    """What share of the machine others took, look by look."""

    moments: list[Moment] = field(default_factory=list)

    def look(self) -> None:
        self.moments.append(take_moment())

    def share(self, since_s: float, until_s: float) -> float:
        """Return what others took between two instants, as far as there were looks around them."""
        before = [moment for moment in self.moments if moment.clock_s <= since_s][-1:]
        within = [moment for moment in self.moments if since_s < moment.clock_s < until_s]
        after = [moment for moment in self.moments if moment.clock_s >= until_s][:1]
        seen = [*before, *within, *after]
        return seen[-1].others_since(seen[0]) if len(seen) > 1 else 0.0


def stretch(seconds: float, others: float) -> float:
    """Return how long something may take while others take a share of the machine."""
    return seconds / (1 - min(others, MOST_ALLOWED))


def take_moment() -> Moment:
    return Moment(time.monotonic(), machine_cpu_s(), tree_cpu_s(os.getpid()))


def watch_others(seconds: float = WATCH_S) -> float:
    """Return the share of the machine that others take now."""
    before = take_moment()
    time.sleep(seconds)
    return take_moment().others_since(before)


def check_quiet(*, is_lenient: bool, most: float = MOST_OTHERS) -> float:
    """Return the share of the machine that others take. Raises TooBusy if it is more than most."""
    others = watch_others()
    if others > most and not is_lenient:
        raise TooBusy(say_busy(others, "before anything was measured"))
    return others


def say_busy(others: float, when: str) -> str:
    return (
        f"others took {others:.0%} of the machine {when}; with more than {MOST_OTHERS:.0%} a "
        f"figure can't be told from what they do (load {os.getloadavg()[0]:.1f}). BENCH_ANYWAY=1 "
        "measures all the same, and records nothing."
    )


def machine_cpu_s() -> float:
    """Return the seconds that all processors worked: for anybody, the host's others included."""
    user, nice, system, _, _, irq, softirq, steal, *_ = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS


def tree_cpu_s(pid: int) -> float:
    """Return the seconds of a process and its descendants, ended threads and children included.

    A process's own line has its ended threads, and the children that it has waited for.
    """
    lines = read_processes()
    return sum(lines[one].cpu_s for one in descend(lines, pid))


def tree_memory_mib(pid: int) -> float:
    """Return the memory of a process and its descendants; what they share counts once."""
    kib = 0
    for one in descend(read_processes(), pid):
        try:
            kib += _memory_kib(Path(f"/proc/{one}"))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return kib / 1_024


def _memory_kib(folder: Path) -> int:
    """Return a process's proportional share; the resident size where that may not be read."""
    try:
        text, name = (folder / "smaps_rollup").read_text(), "Pss:"
    except PermissionError:
        text, name = (folder / "status").read_text(), "VmRSS:"
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(name))


@dataclass(frozen=True)
class ProcessLine:
    """What /proc says of a process."""

    parent: int
    cpu_s: float


def read_processes() -> dict[int, ProcessLine]:
    """Read all that run now."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            found[int(folder.name)] = ProcessLine(
                int(fields[1]), sum(map(int, fields[11:15])) / TICKS
            )
    return found


def descend(lines: dict[int, ProcessLine], pid: int) -> set[int]:
    """Return a process and its descendants. Empty if it runs no more."""
    found = {pid} & lines.keys()
    while more := {one for one, line in lines.items() if line.parent in found} - found:
        found |= more
    return found


def describe() -> str:
    """Say what this machine is."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "processor unknown",
    )
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{os.cpu_count()} processors ({model}), {pages / 2**30:.0f} GiB, {os.uname().release}"
