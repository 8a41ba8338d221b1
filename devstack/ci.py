"""What continuous integration runs: `make test` whole, then as much of the slower proofs as fits.

    .ci/run                         the same, with the virtual environment set up first

All of it ends within 40 minutes plus the target under way at that time, on any machine. A seed made
of the commit chooses the part of each slower proof that is tried, so that another commit tries
another part. The last lines say what was left out and what failed, and how fast the machine is.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from devstack.environment import ROOT
from devstack.process import Process
from devstack.run import end_with_parent
from devstack.share import LEFT_OUT, SECONDS, SEED, Share

BUDGET_S = 40 * 60.0
# Above the longest time-out of a single test or suite. A target that takes longer hangs.
OVERRUN_S = 15 * 60.0
# The last line of a target on its tests.
COUNTED = re.compile(
    r"\d+ (passed|mutants)|^Nothing lost|^VIOLATION|^\d+ s in all|^Fair to all|families slowed"
)
# A test that failed, as pytest's closing summary names it, and a guard that could be broken.
BROKEN = re.compile(r"(?:^|\| )(?:FAILED|ERROR) (tests/\S+)|^SURVIVED: (.+)")
CALIBRATION_STEPS = 2_000_000
MAKE = ("make", "--no-print-directory")
# Variables of the calling process, which the targets must not see.
NOT_FOR_TARGETS = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", SECONDS, SEED}


@dataclass(frozen=True)
class Proof:
    """A make target. `weight` is its share of the time left, beside the targets still to come."""

    target: str
    weight: int


PROOFS = (
    Proof("test-slow", 8),
    Proof("conformance", 5),
    Proof("drain-test", 2),
    Proof("fairness", 3),
    Proof("chaos-short", 3),
    Proof("mutations", 8),
    Proof("races", 4),
    Proof("deploy-check", 1),
    Proof("edge-test", 2),
)


@dataclass
class Run:
    """One run, and its closing lines. `make` runs a target and returns its exit code."""

    share: Share
    make: Callable[[str, Mapping[str, str], Callable[[str], None]], int]
    say: Callable[[str], None]
    failed: list[str] = field(default_factory=list)
    counted: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def everything(self) -> int:
        """Run all; 1 if anything failed."""
        self.one("test", {})
        for done, proof in enumerate(PROOFS):
            weights = sum(each.weight for each in PROOFS[done:])
            if self.share.is_over:
                self.left_out.append(f"{proof.target}: all of it")
            else:
                self.one(proof.target, self.share.environment(parts=weights / proof.weight))
        self.conclude()
        return 1 if self.failed else 0

    def one(self, target: str, share: Mapping[str, str]) -> None:
        """Run a target, show what it prints, and remember what it left out."""
        within = f", {float(share[SECONDS]):.0f} s" if share else ""
        self.say(f"=== make {target}{within}")
        counted = ""

        def take(line: str) -> None:
            nonlocal counted
            self.say(line)
            counted = line if COUNTED.search(line) else counted
            if named := BROKEN.search(line):
                self.broken.append(f"{target}: {named[1] or named[2]}")
            _, found, what = line.partition(LEFT_OUT)
            if found and not what.startswith("0 of"):
                self.left_out.append(f"{target}: {what}")

        started = time.monotonic()
        code = self.make(target, share, take)
        state = f"FAILED with {code}" if code else "ok"
        seconds = time.monotonic() - started
        self.counted.append(f"{target:<12} {seconds:6.0f} s  {state:<16} {counted}".rstrip())
        if code:
            self.failed.append(target)

    def conclude(self) -> None:
        self.say("=== what was run")
        for line in self.counted:
            self.say(line)
        self.say("=== what was left out for want of time")
        for line in self.left_out or ["nothing"]:
            self.say(line)
        if self.broken:
            self.say("=== what failed")
        for line in self.broken:
            self.say(line)
        self.say(describe_machine())
        self.say(f"Failed: {', '.join(self.failed)}" if self.failed else "All good.")


def make(target: str, share: Mapping[str, str], take: Callable[[str], None]) -> int:
    """Run make to its end, or end it when it hangs. Its output goes to `take`, line by line."""
    outside = {name: value for name, value in os.environ.items() if name not in NOT_FOR_TARGETS}
    process = Process(
        f"make {target}",
        [*MAKE, target],
        output=take,
        env={**outside, **share},
        cwd=ROOT,
        stop_timeout_s=60.0,
    )
    process.start()
    limit_s = float(share[SECONDS]) + OVERRUN_S if share else None
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        take(f"make {target} hangs: {OVERRUN_S / 60:.0f} minutes after its time it is stopped")
        return 124  # as timeout(1) does
    finally:
        process.stop()


def seed_of_commit() -> int:
    """Return a number that changes with the commit; 0 outside a repository."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return int(done.stdout.strip()[:7] or "0", 16)


def describe_machine() -> str:
    """Return how fast one core runs a fixed loop of Python, and what processor it is."""
    fastest = min(time_loop() for _ in range(3))
    million_per_s = CALIBRATION_STEPS / fastest / 1_000_000
    return f"This machine: {million_per_s:.1f} million steps of Python a second; {processors()}"


def time_loop() -> float:
    """Return the processor time of a fixed loop in seconds, which leaves out other load."""
    started, total = time.process_time(), 0
    for number in range(CALIBRATION_STEPS):
        total += number * number % 7
    return time.process_time() - started


def processors(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{len(models)} × {models[0]}" if models else "processors unknown"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m devstack.ci", description=__doc__)
    parser.add_argument("--with-parent", action="store_true", help="end with the starting process")
    parser.add_argument("--spent", type=float, default=0, help="seconds that have gone already")
    options = parser.parse_args(arguments)
    if options.with_parent:
        end_with_parent()
    # sys.exit unwinds, which stops the running target.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    share = Share(time.monotonic() + BUDGET_S - options.spent, seed_of_commit())
    run = Run(share, make, lambda line: print(line, flush=True))
    run.say(describe_machine())
    return run.everything()


if __name__ == "__main__":
    sys.exit(main())
