"""Setting up, cleaning up, and the tests' own services."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devstack import bootstrap
from devstack.clean import clean
from devstack.environment import ROOT
from devstack.locks import FileLock
from devstack.pytest_plugin import remove_leftovers
from devstack.services import Valkey
from devstack.tools import Tool, ensure_tool
from tests.devstack.conftest import outside_environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose requirements are empty, so that installing them needs no network."""
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    files = (tmp_path / "requirements.txt", tmp_path / "requirements-dev.txt")
    monkeypatch.setattr(bootstrap, "REQUIREMENTS", files)
    for path in files:
        path.write_text("# nothing\n")
    return tmp_path


def test_a_finished_environment_is_left_alone(checkout: Path) -> None:
    assert bootstrap.main() == 0
    marker = checkout / ".venv" / "marker"
    marker.touch()

    assert bootstrap.main() == 0

    assert marker.exists()


def test_a_half_made_environment_is_made_anew(checkout: Path) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "marker").touch()

    assert bootstrap.main() == 0

    assert (checkout / ".venv" / "bin" / "python").exists()
    assert not (checkout / ".venv" / "marker").exists()


def test_changed_requirements_make_it_anew(checkout: Path) -> None:
    assert bootstrap.main() == 0
    assert bootstrap.is_current()

    (checkout / "requirements.txt").write_text("# something else\n")

    assert not bootstrap.is_current()


def test_a_linked_environment_is_never_touched(checkout: Path) -> None:
    elsewhere = checkout / "elsewhere"
    elsewhere.mkdir()
    (checkout / ".venv").symlink_to(elsewhere)

    assert bootstrap.main() == 0

    assert list(elsewhere.iterdir()) == []


def test_an_old_python_is_told_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))

    assert bootstrap.main() == 1

    assert not (checkout / ".venv").exists()


def test_cleaning_removes_the_data_of_what_no_longer_runs(tmp_path: Path) -> None:
    with Valkey(tmp_path / "var" / "valkey"):
        pass

    assert clean(tmp_path / "var") == 0

    assert not (tmp_path / "var").exists()


def test_cleaning_removes_nothing_while_something_runs(tmp_path: Path) -> None:
    with Valkey(tmp_path / "var" / "valkey") as valkey:
        assert clean(tmp_path / "var") == 1

        assert valkey.data.exists()


def test_the_folders_of_killed_runs_are_removed_and_of_running_ones_kept(tmp_path: Path) -> None:
    for name in ("run-1-dead", "run-2-alive"):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
    alive = FileLock(tmp_path / "run-2-alive.lock")
    alive.acquire()

    remove_leftovers(tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-2-alive", "run-2-alive.lock"]
    alive.release()


INNER = """
import os
import psycopg, redis

def test_it_has_services(valkey_server):
    psycopg.connect(os.environ["DATABASE_URL"]).close()
    assert os.environ["REDIS_URL"] == valkey_server.url
    with open(os.environ["STANDIN_FOLDER"] + "/seen", "a") as seen:
        print(os.environ["DATABASE_URL"], valkey_server.url, file=seen)

def test_another():
    test = redis.Redis.from_url(os.environ["REDIS_URL"])
    assert test.ping()
"""


def run_pytest(folder: Path, *arguments: str) -> list[list[str]]:
    """Run pytest with the plugin on a folder of its own; return the URLs its tests saw."""
    tests = folder / "tests"
    tests.mkdir()
    for number in range(4):
        (tests / f"test_{number}.py").write_text(INNER)
    env = {**outside_environment(folder), "STANDIN_FOLDER": str(folder)}
    plugins = ["-p", "devstack.pytest_plugin", "-p", "no:django", "-p", "no:valkey"]
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tests)]
    done = subprocess.run(
        [*command, *plugins, *arguments, str(tests)],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.split() for line in (folder / "seen").read_text().splitlines()]


def test_workers_share_one_postgres_and_have_a_valkey_each(tmp_path: Path) -> None:
    seen = run_pytest(tmp_path, "-n", "2", "--dist", "each")

    assert len({postgres for postgres, _ in seen}) == 1
    assert len({valkey for _, valkey in seen}) == 2


def test_a_missing_tool_is_an_error_that_names_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    tool = Tool(("browser",), "browser-package", "the browser tests")

    with pytest.raises(Exception, match="sudo apt-get update && sudo apt-get install -y browser-p"):
        ensure_tool(tool)
