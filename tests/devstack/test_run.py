"""`make run`: one at a time, everything stops with it, and it starts again with its data."""

import os
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from devstack.environment import read_env
from devstack.ports import free_port
from tests.devstack.conftest import Script, is_running

# Without `planner=plan` this is what `python -m devstack run` does.
RUN = """
import sys
from pathlib import Path
from devstack.run import run
from tests.devstack.standin import plan
sys.exit(run(Path(sys.argv[1]), planner=plan))
"""
CHILDREN = ("sandbox", "web", "worker")


class Launcher:
    """A launcher of stand-ins, seen from outside."""

    def __init__(self, script: Callable[..., Script], folder: Path) -> None:
        self._script = script
        self.folder = folder
        self.var = folder / "var"
        self.port = free_port()
        self.banner = ""

    def start(self, **env: str) -> Script:
        env = {"STANDIN_FOLDER": str(self.folder), "PORT": str(self.port), **env}
        return self._script(RUN, self.var, **env)

    def start_and_wait(self) -> Script:
        launcher = self.start()
        self.banner = launcher.until("Ctrl-C stops it")
        return launcher

    def pid(self, name: str) -> int:
        """Of a stand-in. The launcher waits for no worker, so one may still be starting."""
        noted = self.folder / f"{name}.pid"
        deadline = time.monotonic() + 30
        while not noted.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        return int(noted.read_text())

    def pids(self) -> list[int]:
        """Of every child, the services included."""
        noted = [self.pid(name) for name in CHILDREN]
        postmaster = (self.var / "postgres" / "data" / "postmaster.pid").read_text()
        valkey = (self.var / "valkey" / "data" / "valkey.pid").read_text()
        return [*noted, int(postmaster.split()[0]), int(valkey)]

    def settings(self) -> dict[str, str]:
        return read_env(self.var / "run.env")


@pytest.fixture
def launcher(script: Callable[..., Script], tmp_path: Path) -> Launcher:
    return Launcher(script, tmp_path)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_stops_every_child_in_order_and_exits_0(launcher: Launcher, end: signal.Signals) -> None:
    running = launcher.start_and_wait()
    pids = launcher.pids()

    running.popen.send_signal(end)
    running.rest()

    assert running.popen.returncode == 0
    assert [pid for pid in pids if is_running(pid)] == []
    stopped = (launcher.folder / "stopped").read_text().split()
    assert stopped == ["web", "worker", "sandbox"]


def test_a_killed_launcher_leaves_nothing_behind_and_starts_again_with_its_data(
    launcher: Launcher,
) -> None:
    killed = launcher.start_and_wait()
    pids = launcher.pids()
    with psycopg.connect(launcher.settings()["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")

    killed.popen.kill()
    killed.popen.wait()
    successor = launcher.start_and_wait()

    assert [pid for pid in pids if is_running(pid)] == []
    with psycopg.connect(launcher.settings()["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)
    successor.popen.terminate()
    successor.rest()


def test_a_second_one_in_the_same_checkout_is_refused(launcher: Launcher) -> None:
    first = launcher.start_and_wait()

    second = launcher.start()
    said = second.rest()

    assert second.popen.returncode == 1
    assert "it runs already" in said
    assert f"process {first.popen.pid}" in said
    assert first.popen.poll() is None


def test_a_taken_port_is_an_error_before_anything_starts(launcher: Launcher) -> None:
    with socket.create_server(("127.0.0.1", launcher.port)):
        refused = launcher.start()
        said = refused.rest()

    assert refused.popen.returncode == 1
    assert f"port {launcher.port} on 127.0.0.1 is taken" in said
    assert not (launcher.var / "postgres").exists()


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_malformed_port_is_named(launcher: Launcher, port: str) -> None:
    refused = launcher.start(PORT=port)
    said = refused.rest()

    assert refused.popen.returncode == 1
    assert said == f"error: PORT must be a number from 1 to 65535, not '{port}'\n"


def test_a_child_that_dies_stops_everything_and_is_named(launcher: Launcher) -> None:
    running = launcher.start_and_wait()
    sandbox, _, worker, *services = launcher.pids()

    os.kill(worker, signal.SIGKILL)
    said = running.rest()

    assert running.popen.returncode == 1
    assert "error: worker ended by itself with signal SIGKILL" in said
    assert [pid for pid in [sandbox, *services] if is_running(pid)] == []


def test_a_failing_setup_shows_why_and_stops_everything(launcher: Launcher) -> None:
    failed = launcher.start(STANDIN_SETUP="fail 3")
    said = failed.rest()

    assert failed.popen.returncode == 1
    assert "error: setup ended with 3:\nthis is why" in said
    sandbox = launcher.pid("sandbox")
    assert not is_running(sandbox)


def test_the_settings_are_left_for_other_shells_readable_by_the_owner_alone(
    launcher: Launcher,
) -> None:
    running = launcher.start_and_wait()
    path = launcher.var / "run.env"

    settings = launcher.settings()
    mode = stat.S_IMODE(path.stat().st_mode)
    running.popen.terminate()
    running.rest()

    assert settings["SITE_URL"] == f"http://127.0.0.1:{launcher.port}"
    assert settings["CELERY_BROKER_URL"] == settings["REDIS_URL"].removesuffix("/0") + "/1"
    assert settings["STRIPE_SECRET_KEY"].startswith("sk_test_")
    assert mode == 0o600
    assert not path.exists()


def test_half_a_stripe_in_the_environment_is_refused(launcher: Launcher) -> None:
    refused = launcher.start(STRIPE_SECRET_KEY="sk_test_mine")
    said = refused.rest()

    assert refused.popen.returncode == 1
    assert said == "error: your environment sets up Stripe, but STRIPE_WEBHOOK_SECRET is missing\n"


def test_the_banner_has_the_addresses_and_what_the_seed_said(launcher: Launcher) -> None:
    running = launcher.start_and_wait()
    running.popen.terminate()
    running.rest()

    assert f"site              http://127.0.0.1:{launcher.port}\n" in launcher.banner
    assert f"admin             http://127.0.0.1:{launcher.port}/admin/\n" in launcher.banner
    assert "  login: demo@example.com\n" in launcher.banner
