"""A share of the clock: a sample that a seed chooses, and what is left out is named."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from devstack.environment import ROOT
from devstack.share import Sample, Share, take_share

OVER = Share(ends_at=0.0, seed=7)


def test_without_a_share_everything_is_tried_as_it_comes() -> None:
    share = take_share({})

    assert share.is_whole
    assert share.order(range(9)) == list(range(9))
    assert share.environment() == {}
    assert Sample(share).wants("anything")


def test_a_share_is_taken_once() -> None:
    environ = {"PROOF_SECONDS": "100", "PROOF_SEED": "12", "HOME": "/home/me"}

    share = take_share(environ)

    assert environ == {"HOME": "/home/me"}
    assert share.seed == 12
    assert 90 < share.left_s <= 100


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PROOF_SECONDS", "soon"),
        ("PROOF_SECONDS", "-1"),
        ("PROOF_SECONDS", "inf"),
        ("PROOF_SECONDS", "nan"),
        ("PROOF_SEED", "1.5"),
        ("PROOF_SEED", "-3"),
    ],
)
def test_a_share_that_makes_no_sense_is_refused(name: str, text: str) -> None:
    with pytest.raises(SystemExit, match=f"error: {name} must be a number of .*'{text}'"):
        take_share({name: text})


def test_a_seed_chooses_the_order_and_loses_nothing() -> None:
    ends_at = time.monotonic() + 100
    first, again, other = (Share(ends_at, seed).order(range(99)) for seed in (1, 1, 2))

    assert first == again != other
    assert sorted(first) == list(range(99))


def test_a_child_gets_its_part_of_what_is_left() -> None:
    share = Share(time.monotonic() + 100, seed=3)

    given = share.environment(parts=4)

    assert given["PROOF_SEED"] == "3"
    assert 20 < float(given["PROOF_SECONDS"]) <= 25


def test_what_comes_too_late_is_named() -> None:
    sample = Sample(OVER)

    assert not any([sample.wants("one"), sample.wants("another")])

    assert sample.tell(5, "mutants") == "left out: 2 of 5 mutants, seed 7: another, one"


def test_many_names_are_cut() -> None:
    sample = Sample(OVER, [f"n{number:02}" for number in range(25)])

    said = sample.tell(30, "tests")

    assert said.startswith("left out: 25 of 30 tests, seed 7: n00, n01,")
    assert said.endswith("n19 and 5 more")


TESTS = """
import time
import pytest

@pytest.mark.parametrize("number", range(60))
def test_it(number):
    time.sleep(0.05)
    assert number != {broken}
"""


def run_pytest(folder: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(
        [*command, "-p", "no:asyncio", "-p", "devstack.pytest_share", *arguments],
        cwd=folder,
        env={**outside, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def write_tests(folder: Path, *, broken: int = -1) -> None:
    for name in ("one", "two"):
        (folder / f"test_{name}.py").write_text(TESTS.format(broken=broken))


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_tests_that_do_not_fit_are_left_out_and_counted(tmp_path: Path, processes: str) -> None:
    write_tests(tmp_path)

    done = run_pytest(tmp_path, processes, PROOF_SECONDS="0.01", PROOF_SEED="4")

    assert done.returncode == 0, done.stdout
    said = re.search(r"left out: (\d+) of 120 tests, seed 4", done.stdout)
    ran = re.search(r"(\d+) passed", done.stdout)
    assert said, done.stdout
    assert int(said[1]) + int(ran[1] if ran else 0) == 120
    assert int(said[1]) > 60


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
def test_time_enough_leaves_nothing_out(tmp_path: Path, processes: str) -> None:
    write_tests(tmp_path)

    done = run_pytest(tmp_path, processes, PROOF_SECONDS="90", PROOF_SEED="4")

    assert "left out: 0 of 120 tests" in done.stdout, done.stdout
    assert "120 passed" in done.stdout


def test_a_test_that_fails_fails_the_run_whatever_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "test_bad.py").write_text("def test_bad():\n    raise OSError\n")

    done = run_pytest(tmp_path, "-n0", PROOF_SECONDS="60")

    assert done.returncode == 1


def test_without_a_share_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "test_good.py").write_text("def test_good():\n    pass\n")

    done = run_pytest(tmp_path, "-n0")

    assert "1 passed" in done.stdout
    assert "left out" not in done.stdout
