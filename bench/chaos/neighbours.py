"""What other programs of this machine took of its processors while we measured.

A service that is away for 12 s on a machine of which others had three quarters was not away for
12 s of its own doing. On a quiet machine nothing is taken, and every second counts.
"""

import asyncio
import bisect
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE_S = 0.5
PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Neighbours:
    """Keeps account of the processor time that went to others: whatever is not ours."""

    # Instants on the monotonic clock, and what had been taken by then, in seconds of all of it.
    _at: list[float] = field(default_factory=list)
    _taken: list[float] = field(default_factory=list)

    async def run(self) -> None:
        """Sample until cancelled; not at all where the kernel does not say."""
        while (PROC / "stat").exists():
            self.note(time.monotonic(), busy_s=busy_s(), ours_s=ours_s())
            await asyncio.sleep(SAMPLE_S)

    def note(self, at: float, *, busy_s: float, ours_s: float) -> None:
        """Take down how long all processors were busy so far, and how long for us."""
        taken_s = (busy_s - ours_s) / (os.cpu_count() or 1)
        # What a process used that nobody waited for is missing from ours at the end.
        self._at.append(at)
        self._taken.append(max(taken_s, self._taken[-1] if self._taken else taken_s))

    def taken_s(self, since: float, until: float) -> float:
        """Return how long of a time the machine was, in effect, not ours."""
        if not self._at:
            return 0.0
        return min(max(self._upto(until) - self._upto(since), 0.0), max(until - since, 0.0))

    def _upto(self, at: float) -> float:
        right = bisect.bisect_left(self._at, at)
        if right == 0 or right == len(self._at):
            return self._taken[min(right, len(self._at) - 1)]
        before, after = self._at[right - 1], self._at[right]
        share = (at - before) / (after - before)
        return self._taken[right - 1] + share * (self._taken[right] - self._taken[right - 1])


def busy_s() -> float:
    """Return how long all processors together were not idle since the machine started."""
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = (
        int(ticks) for ticks in (PROC / "stat").read_text().splitlines()[0].split()[1:]
    )
    return (user + nice + system + irq + softirq + steal) / TICKS_PER_S


def ours_s() -> float:
    """Return the processor time of this process and of all that it started."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            # Behind the name, which may contain anything: state, parent, …, and from the 12th on
            # user and system time, then the same of children that were waited for.
            fields = path.read_text().rpartition(") ")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        pid = int(path.parent.name)
        parents[pid], used[pid] = int(fields[1]), sum(int(ticks) for ticks in fields[11:15])
    return sum(used[pid] for pid in used if is_ours(pid, parents)) / TICKS_PER_S


def is_ours(pid: int, parents: dict[int, int]) -> bool:
    """Tell whether a process is this one or was started by it, at any remove."""
    us = os.getpid()
    while pid and pid != us:
        pid = parents.get(pid, 0)
    return pid == us
