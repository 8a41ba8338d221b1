"""Helpers for the launcher's tests: processes to look at from outside."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devstack.environment import ROOT, child_environment, without_product_settings

PATIENCE_S = 20.0
NOT_FOR_CHILDREN = (
    "PYTEST_XDIST_WORKER",
    "PYTEST_CURRENT_TEST",
    "DEVSTACK_TEST_FOLDER",
    "DEVSTACK_TEMPLATE",
)


def is_running(pid: int) -> bool:
    """Whether the process exists and has not ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def outside_environment(folder: Path) -> dict[str, str]:
    """What a process of its own gets: nothing of this test run."""
    environ = child_environment(without_product_settings(os.environ), folder=folder)
    return {name: value for name, value in environ.items() if name not in NOT_FOR_CHILDREN}


class Script:
    """A Python program that runs beside the test, and is killed at its end."""

    def __init__(self, source: str, *arguments: str, env: dict[str, str]) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=env,
        )

    def line(self) -> str:
        """Wait for its next line."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().strip()

    def until(self, text: str) -> str:
        """Wait for a line with this text and return all up to it."""
        said = ""
        while text not in said.rpartition("\n")[2]:
            assert self.popen.stdout is not None
            line = self.popen.stdout.readline()
            assert line, f"it ended without saying {text!r}:\n{said}"
            said += "\n" + line.rstrip()
        return said

    def rest(self, timeout_s: float = PATIENCE_S) -> str:
        """Wait for its end and return what it said since."""
        return self.popen.communicate(timeout=timeout_s)[0]

    def close(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        if self.popen.stdout is not None:
            self.popen.stdout.close()


@pytest.fixture
def script(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """Start Python programs that import the launcher from outside."""
    started: list[Script] = []

    def start(source: str, *arguments: object, **env: str) -> Script:
        environ = {**outside_environment(tmp_path), **env}
        started.append(Script(source, *map(str, arguments), env=environ))
        return started[-1]

    yield start
    for each in started:
        each.close()
