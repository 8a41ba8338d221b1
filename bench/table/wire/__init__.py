"""The fake upstream and the load generator: C compiled on the spot, or the same in Python."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.environment import ROOT
from devstack.ports import free_port
from devstack.process import Process
from devstack.ready import await_port

SOURCE = Path(__file__).parent
COMPILERS = ("cc", "gcc", "clang")


@dataclass(frozen=True)
class Wire:
    """The commands, without their arguments, and what they are made of."""

    upstream: list[str]
    load: list[str]
    made_of: str


def make_wire(folder: Path, *, compilers: tuple[str, ...] = COMPILERS) -> Wire:
    """Compile both into the folder; without a compiler that does, return the Python ones."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in compilers:
        compiler = shutil.which(name)
        if compiler and all(_compile(compiler, part, folder) for part in ("upstream", "load")):
            return Wire([str(folder / "upstream")], [str(folder / "load")], f"C, by {name}")
    return Wire(_module("upstream"), _module("load"), "Python, for want of a C compiler")


@contextmanager
def fake_upstream(wire: Wire, folder: Path) -> Iterator[tuple[int, int]]:
    """Run it, and give its port and its process."""
    port = free_port()
    process = Process(
        "upstream",
        [*wire.upstream, str(port)],
        output=folder / "upstream.log",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    process.start()
    try:
        await_port(process, port)
        yield port, process.pid
    finally:
        process.stop()


def _compile(compiler: str, part: str, folder: Path) -> bool:
    command = [compiler, "-O2", "-o", str(folder / part), str(SOURCE / f"{part}.c")]
    done = subprocess.run(
        command, capture_output=True, env={**os.environ, "LC_ALL": "C"}, check=False
    )
    return done.returncode == 0


def _module(part: str) -> list[str]:
    return [sys.executable, "-m", f"bench.table.wire.{part}"]
