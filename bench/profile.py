"""`make profile`: where a request's and a chunk's time goes in the web process, by module.

py-spy samples the product while it is under load, and each sample is laid to the module of the
innermost Python line: what C code does is its caller's. Reading another process needs root, or a
kernel that lets a user trace their own processes.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.table.gateways import Missing, Place, Running, product
from bench.table.measuring import Bench, LoadFailed
from bench.table.rows import MODELS, RUNS, Run
from bench.table.wire import fake_upstream, make_wire
from devstack.environment import ROOT
from devstack.run import end_with_parent

SAMPLES_S = 250
# A stream's load is one of about three seconds, so this is of a part of it.
SECONDS = {"json-1k": 8.0, "json-20k": 8.0, "json-100k": 8.0, "json-400k": 8.0, "streams": 2.5}
SHOWN = 30
# Whose C code it is that these lines of Python's own library call.
OF_PYTHON = {"runners": "event loop (uvloop, sockets)", "thread": "python: thread pools"}
# Which figure of a run is divided.
UNITS = {**dict.fromkeys(SECONDS, "cpu_ms"), "streams": "cpu_us_per_chunk"}
NAMES = {
    "json-1k": ("a JSON request of 1 kB", "CPU-ms"),
    "json-20k": ("a JSON request of 20 kB", "CPU-ms"),
    "json-100k": ("an agent's request of 100 kB", "CPU-ms"),
    "json-400k": ("an agent's request of 400 kB", "CPU-ms"),
    "streams": ("a chunk of a stream", "CPU-µs"),
}


class CantSample(Exception):
    """py-spy could not read the process. The message has its own words."""


@dataclass(frozen=True)
class Share:
    """A module's part of all samples: by itself, and with all that it calls."""

    module: str
    own: float
    total: float


def read_samples(lines: Iterable[str]) -> Iterator[tuple[list[str], int]]:
    """Yield the modules of each stack, from the outside in, and how often it was seen."""
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if count.strip().isdecimal():
            yield [module_of(frame) for frame in stack.split(";")], int(count)


def module_of(frame: str) -> str:
    """Return whose line a frame is: a module of the product, a library, or Python's own.

    A frame is `function (/path/of/file.py:12)`.
    """
    path = Path(frame.partition("(")[2].rpartition(":")[0])
    if "site-packages" in path.parts:
        return path.parts[path.parts.index("site-packages") + 1].removesuffix(".py")
    if path.is_relative_to(ROOT):
        return ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return OF_PYTHON.get(path.stem, f"python: {path.stem}")


def share_out(samples: Iterable[tuple[list[str], int]]) -> list[Share]:
    """Return the shares of all modules, the largest of their own first."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack, count in samples:
        own[stack[-1]] += count
        for module in set(stack):
            total[module] += count
    seen = sum(own.values()) or 1
    shares = [Share(module, own[module] / seen, total[module] / seen) for module in total]
    return sorted(shares, key=lambda share: (-share.own, -share.total, share.module))


def table(shares: list[Share], *, spent: float, unit: str) -> str:
    """Show the first shares of what was spent, and the rest in one line."""
    lines = [
        f"{'module':<48} {unit:>8} {'own':>7} {'with calls':>11}",
        *(
            f"{share.module:<48} {share.own * spent:>8.3f} {share.own:>7.1%} {share.total:>11.1%}"
            for share in shares[:SHOWN]
        ),
    ]
    rest = sum(share.own for share in shares[SHOWN:])
    lines.append(f"{'all others':<48} {rest * spent:>8.3f} {rest:>7.1%}")
    return "\n".join(lines)


def sample(pid: int, output: Path, *, seconds: float) -> None:
    """Write the stacks that a process is seen in. Raises CantSample."""
    program = Path(sys.executable).parent / "py-spy"
    command = [
        *(str(program), "record", "--pid", str(pid), "--duration", str(int(max(1, seconds)))),
        *("--rate", str(SAMPLES_S), "--format", "raw", "--full-filenames", "--nonblocking"),
        *("--output", str(output)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not output.exists():
        raise CantSample(done.stderr.strip() or "py-spy said nothing")


@contextmanager
def sampled(pid: int, output: Path, *, seconds: float) -> Iterator[None]:
    """Sample while the block runs. Raises CantSample at its end."""
    failed: list[CantSample] = []

    def work() -> None:
        try:
            sample(pid, output, seconds=seconds)
        except CantSample as error:
            failed.append(error)

    sampler = threading.Thread(target=work)
    sampler.start()
    try:
        yield
    finally:
        sampler.join()
    if failed:
        raise failed[0]


def profile(name: str, bench: Bench, gateway: Running) -> str:
    """Return a run's table. What it spends is measured before, without py-spy beside it."""
    run: Run = RUNS[name]
    if not run.chunks:
        run = replace(run, seconds=SECONDS[name] + 1.0)
    spent = bench.measure(name, run, gateway).figures[UNITS[name]]
    output = bench.folder / f"{name}.samples"
    with sampled(gateway.pid, output, seconds=SECONDS[name]):
        bench.measure(name, run, gateway)
    shares = share_out(read_samples(output.read_text().splitlines()))
    title, unit = NAMES[name]
    return f"{title}: {spent:.3f} {unit}\n\n{table(shares, spent=spent, unit=unit)}"


def main() -> int:
    """Run from a shell. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help=f"of {' '.join(NAMES)}")
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.runs) - set(NAMES):
        parser.error(f"there is no {' '.join(sorted(unknown))}, only {' '.join(NAMES)}")
    if given.with_parent:
        end_with_parent()
    try:
        with tempfile.TemporaryDirectory(prefix="profile-") as name:
            folder = Path(name)
            wire = make_wire(folder / "wire")
            with (
                fake_upstream(wire, folder) as (port, pid),
                product.start(Place(folder, port, None, MODELS)) as gateway,
            ):
                bench = Bench(wire, folder, pid, is_lenient=True)
                bench.warm_up(replace(RUNS["json-1k"], seconds=2.0), gateway)
                print(f"load {os.getloadavg()[0]:.1f}: shares are what to read, not milliseconds")
                for run in given.runs or NAMES:
                    print(f"\n{profile(run, bench, gateway)}", flush=True)
    except (CantSample, LoadFailed, Missing) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
