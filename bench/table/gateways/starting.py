"""What all gateways have in common: where they run, and what is known of one that does."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from devstack.environment import ROOT, without_product_settings
from devstack.errors import LaunchError
from devstack.packages import explain
from devstack.process import Process
from devstack.ready import await_port

# What peers are installed into; it stays for the next time.
INSTALLED = ROOT / "var" / "bench"
UPSTREAM_KEY = "sk-bench"
PIN = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execvp(sys.argv[2], "
    "sys.argv[2:])"
)
START_TIMEOUT_S = 180.0
SHOWN_CHARS = 300


class Missing(Exception):
    """A gateway can't be installed or started here. The message says why."""


@dataclass(frozen=True)
class Place:
    """Where gateways run, and what they forward to."""

    folder: Path
    upstream_port: int
    # The processor that a gateway has to itself; None on a machine with one.
    core: int | None
    models: Sequence[str]

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream_port}"

    def pinned(self, argv: Sequence[str]) -> list[str]:
        """Return a command line whose process stays on the gateway's processor."""
        if self.core is None:
            return list(argv)
        return [sys.executable, "-c", PIN, str(self.core), *argv]


@dataclass(frozen=True)
class Running:
    """A gateway that serves."""

    title: str
    port: int
    pid: int
    headers: Mapping[str, str] = field(default_factory=dict)
    # Processes that work for it elsewhere, such as a database, by name.
    helpers: Mapping[str, int] = field(default_factory=dict)
    redis_url: str | None = None


Start = Callable[[Place], AbstractContextManager[Running]]


def start_server(
    name: str,
    argv: Sequence[str],
    *,
    place: Place,
    port: int,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a peer on the gateway's processor and wait until it listens. Raises Missing."""
    environ = {**without_product_settings(os.environ), **(env or {})}
    log = place.folder / f"{name}.log"
    process = Process(name, place.pinned(argv), output=log, env=environ, cwd=place.folder)
    try:
        process.start()
        await_port(process, port, timeout_s=START_TIMEOUT_S)
    except (LaunchError, OSError) as error:
        process.stop()
        raise Missing(f"it does not start: {shorten(str(error))}") from error
    return process


def run(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a command and return what it printed. Raises Missing."""
    environ = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=environ, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise Missing(str(error)) from error
    if done.returncode:
        raise Missing(f"`{Path(argv[0]).name}` failed: {explain(done.stdout + done.stderr)}")
    return done.stdout + done.stderr


def shorten(said: str) -> str:
    """Return the end of what a program said, in one line."""
    return " ".join(said.split())[-SHOWN_CHARS:]
