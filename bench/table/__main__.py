"""`make bench`: measure the gateways in turn, round by round, and print the table.

Exits with 2 if the machine is too busy for figures to mean something.
"""

import os
import resource
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.machine import TooBusy, calibrate, check_drift, check_quiet, describe
from bench.table.gateways import GATEWAYS, Missing, Place, Running
from bench.table.measuring import Bench, LoadFailed
from bench.table.report import RESULTS, Results
from bench.table.rows import LEAST_S, MODELS, RUNS, Run
from bench.table.wire import fake_upstream, make_wire
from devstack.environment import ROOT
from devstack.run import end_with_parent

WARM_UP = replace(RUNS["json-1k"], seconds=1.5)
# Streams keep two descriptors each in a gateway.
DESCRIPTORS = 20_000


@dataclass(frozen=True)
class Options:
    """What the environment asks for."""

    rows: list[str]
    peers: list[str]
    rounds: int
    shorter: float = 1.0
    is_lenient: bool = False
    is_recorded: bool = False


class Unknown(ValueError):
    """An option that is none."""


class NothingRuns(Exception):
    """No gateway could be started. The message says why."""


def read_options(environ: Mapping[str, str]) -> Options:
    """Raises Unknown, which says what is possible."""
    is_quick = read_flag(environ, "BENCH_QUICK")
    options = Options(
        rows=read_names(environ, "BENCH_ROWS", list(RUNS)),
        peers=read_names(environ, "BENCH_PEERS", ["product"] if is_quick else list(GATEWAYS)),
        rounds=read_rounds(environ, 1 if is_quick else 3),
        shorter=0.5 if is_quick else 1.0,
        is_lenient=read_flag(environ, "BENCH_ANYWAY"),
        is_recorded=read_flag(environ, "BENCH_RECORD"),
    )
    if options.is_recorded and (options.is_lenient or "product" not in options.peers):
        raise Unknown("BENCH_RECORD needs the product among BENCH_PEERS, and no BENCH_ANYWAY")
    return options


def read_names(environ: Mapping[str, str], name: str, default: list[str]) -> list[str]:
    possible = list(RUNS) if name == "BENCH_ROWS" else list(GATEWAYS)
    given = environ.get(name, "").replace(",", " ").split()
    if unknown := sorted(set(given) - set(possible)):
        raise Unknown(f"{name} has {', '.join(unknown)}; there are {' '.join(possible)}")
    return [one for one in possible if one in given] or default


def read_rounds(environ: Mapping[str, str], default: int) -> int:
    given = environ.get("BENCH_ROUNDS") or str(default)
    if not given.isdecimal() or not 1 <= int(given) <= 100:
        raise Unknown(f"BENCH_ROUNDS must be from 1 to 100, not {given!r}")
    return int(given)


def read_flag(environ: Mapping[str, str], name: str) -> bool:
    given = environ.get(name) or "0"
    if given not in {"0", "1"}:
        raise Unknown(f"{name} must be 0 or 1, not {given!r}")
    return given == "1"


def choose_core() -> int | None:
    """Take the last processor for gateways, and leave this process and its children the others."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) == 1:
        return None
    os.sched_setaffinity(0, cores[:-1])
    return cores[-1]


def start_all(
    names: list[str], bench: Bench, place: Place, stack: ExitStack
) -> tuple[dict[str, Running], dict[str, str]]:
    """Start the gateways; return those that serve, and why the others don't."""
    running, missing = {}, {}
    for name in names:
        try:
            gateway = stack.enter_context(GATEWAYS[name](place))
            bench.warm_up(WARM_UP, gateway)
        except (Missing, LoadFailed) as why:
            missing[name] = str(why)
            print(f"missing: {name}: {why}", flush=True)
        else:
            running[name] = gateway
            print(f"started {gateway.title}", flush=True)
    return running, missing


def measure_round(options: Options, bench: Bench, running: dict[str, Running], to: Results) -> None:
    """Measure each run on each gateway in turn. Raises TooBusy."""
    redis_url = next((each.redis_url for each in running.values() if each.redis_url), None)
    for row in options.rows:
        run = shorten(RUNS[row], options.shorter)
        to.calibrations.setdefault(row, []).append(calibrate(redis_url))
        for name, gateway in running.items():
            if run.only not in {None, name} or row in to.failed.get(name, {}):
                continue
            try:
                to.note(row, name, bench.measure(row, run, gateway))
            except LoadFailed as why:
                to.failed.setdefault(name, {})[row] = str(why)
            print(f"  {row}: {gateway.title}", flush=True)


def shorten(run: Run, factor: float) -> Run:
    return replace(run, seconds=max(LEAST_S, run.seconds * factor))


def measure_all(options: Options, folder: Path) -> Results:
    """Start everything, measure it, stop it. Raises TooBusy."""
    check_quiet(is_lenient=options.is_lenient)
    core = choose_core()
    wire = make_wire(folder / "wire")
    with ExitStack() as stack:
        upstream_port, upstream_pid = stack.enter_context(fake_upstream(wire, folder))
        place = Place(folder, upstream_port, core, MODELS)
        bench = Bench(wire, folder, upstream_pid, options.is_lenient)
        running, missing = start_all(options.peers, bench, place, stack)
        if not running:
            raise NothingRuns("; ".join(f"{name}: {why}" for name, why in missing.items()))
        results = Results(
            {name: gateway.title for name, gateway in running.items()},
            missing,
            describe(),
            wire.made_of,
        )
        for number in range(1, options.rounds + 1):
            print(f"round {number} of {options.rounds}", flush=True)
            measure_round(options, bench, running, results)
        if not options.is_lenient:
            check_drift(each for some in results.calibrations.values() for each in some)
    return results


def main() -> int:
    """Print the table. Returns the exit code."""
    if "--with-parent" in sys.argv:
        end_with_parent()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, DESCRIPTORS), most))
    try:
        options = read_options(os.environ)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            results = measure_all(options, Path(folder))
    except (Unknown, NothingRuns, TooBusy) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"\n{results.table()}")
    if options.is_recorded:
        results.record()
        print(f"\nappended to {RESULTS.relative_to(ROOT)}")
    return 1 if results.missing else 0


if __name__ == "__main__":
    sys.exit(main())
