"""`make test` runs everything, fails if anything failed, and counts what pytest reported."""

import sys
import threading
import time
from io import StringIO
from itertools import product
from pathlib import Path

import pytest

from devstack import check
from devstack.check import Interrupted, Result, Step, StepRunner, read_report, summary
from devstack.console import Console
from devstack.share import Share


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StepRunner:
    monkeypatch.setattr(check, "LOGS", tmp_path)
    return StepRunner(Console(StringIO()))


def step(source: str, report: Path | None = None) -> Step:
    return Step("a step", [sys.executable, "-c", source], env={}, report=report)


def test_a_report_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        '<testsuites><testsuite tests="10" failures="2" errors="1" skipped="3"/>'
        '<testsuite tests="5" failures="0" errors="0" skipped="0"/></testsuites>'
    )

    counted = read_report(report)

    assert counted == (9, 3, 3)


@pytest.mark.parametrize("text", [None, "", "<testsuites>"])
def test_a_run_that_left_no_whole_report_counts_as_a_failure(
    tmp_path: Path, text: str | None
) -> None:
    report = tmp_path / "report.xml"
    if text is not None:
        report.write_text(text)

    counted = read_report(report)

    assert counted == (0, 1, 0)


def test_the_report_of_an_earlier_run_is_not_counted(runner: StepRunner, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="10"/></testsuites>')

    result = runner.run(step("raise SystemExit(4)", report=report))

    assert (result.code, result.passed, result.failed) == (4, 0, 1)


def test_the_summary_names_what_failed_and_ends_with_the_total() -> None:
    results = [
        Result("ruff", 1, 0.5),
        Result("unit tests", 0, 9.0, passed=100, has_tests=True),
        Result("stack tests", 1, 9.0, passed=20, failed=2, skipped=1, has_tests=True),
    ]

    lines = summary(results).splitlines()

    assert lines[-2:] == ["Failed: ruff, stack tests", "120 passed, 2 failed, 1 skipped"]


def test_a_step_that_runs_when_the_block_ends_is_stopped(runner: StepRunner) -> None:
    results: list[Result] = []
    running = threading.Thread(
        target=lambda: results.append(runner.run(step("import signal; signal.pause()")))
    )

    with runner:
        running.start()
        while not any(process.is_running for process in runner._running):
            running.join(0.01)
    running.join(20)

    assert results[0].code != 0


def test_no_step_starts_after_the_block_has_ended(runner: StepRunner) -> None:
    with runner:
        pass

    with pytest.raises(Interrupted):
        runner.run(step("pass"))


@pytest.mark.parametrize("marked", list(product([False, True], repeat=3)))
def test_every_test_is_in_one_of_the_runs(marked: tuple[bool, bool, bool]) -> None:
    marks = dict(zip(("stack", "browser", "slow"), marked, strict=True))
    made = (
        check.unit_step,
        check.stack_step,
        check.browser_step,
        check.slow_step,
        check.screens_step,
    )
    steps = [make({}) for make in made]
    chosen = [each.argv[each.argv.index("-m", 3) + 1] for each in steps]

    # Its own language for expressions is a part of Python's.
    takes = [bool(eval(each, {}, marks)) for each in chosen]  # noqa: S307

    assert takes.count(True) == 1


def test_each_slow_step_gets_its_part_of_what_is_left() -> None:
    steps = list(check.slow_steps({}, Share(time.monotonic() + 90, seed=6)))

    # None of them takes any time here.
    seconds = [float(step.env["PROOF_SECONDS"]) for step in steps]
    assert seconds == pytest.approx([30, 45, 90], abs=2)
    assert {step.env["PROOF_SEED"] for step in steps} == {"6"}


def test_without_a_share_the_slow_steps_are_whole() -> None:
    steps = list(check.slow_steps({}, Share()))

    assert not any("PROOF_SECONDS" in step.env for step in steps)
