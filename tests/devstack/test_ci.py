"""Continuous integration ends by the clock, fails if anything failed, and hides nothing."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from devstack import ci
from devstack.environment import ROOT
from devstack.share import Share

ALL = ["test", *(proof.target for proof in ci.PROOFS)]


class Targets:
    """Stands in for make: what each target prints, how it ends, what it was given."""

    def __init__(self, *, says: Mapping[str, str] | None = None, broken: str = "") -> None:
        self.says = says or {}
        self.broken = broken
        self.given: dict[str, Mapping[str, str]] = {}

    def make(self, target: str, share: Mapping[str, str], take: Callable[[str], None]) -> int:
        self.given[target] = share
        if target in self.says:
            take(self.says[target])
        return 2 if target == self.broken else 0


def run(targets: Targets, *, seconds: float = 1_000.0) -> tuple[int, list[str]]:
    lines: list[str] = []
    share = Share(time.monotonic() + seconds, seed=5)
    code = ci.Run(share, targets.make, lines.append).everything()
    return code, lines


def test_it_runs_the_tests_whole_and_the_proofs_within_shares() -> None:
    targets = Targets()

    code, lines = run(targets)

    assert code == 0
    assert list(targets.given) == ALL
    assert targets.given["test"] == {}
    seconds = [float(targets.given[proof.target]["PROOF_SECONDS"]) for proof in ci.PROOFS]
    # Nothing takes any time here, so the last one may have all of it.
    assert seconds[0] == pytest.approx(1_000 * 8 / 36, rel=0.05)
    assert seconds[-1] == pytest.approx(1_000, rel=0.05)
    assert {targets.given[proof.target]["PROOF_SEED"] for proof in ci.PROOFS} == {"5"}
    assert lines[-1] == "All good."
    assert "nothing" in lines


@pytest.mark.parametrize("broken", ALL)
def test_whatever_fails_the_rest_runs_and_the_run_fails(broken: str) -> None:
    targets = Targets(broken=broken)

    code, lines = run(targets)

    assert code == 1
    assert list(targets.given) == ALL
    assert lines[-1] == f"Failed: {broken}"


def test_it_repeats_in_the_end_what_was_left_out() -> None:
    says = {
        "test-slow": "slow tests    | left out: 3 of 9 tests, seed 5: 3 in test_a.py",
        "races": "left out: 0 of 80 tests, seed 5",
    }

    code, lines = run(Targets(says=says))

    assert code == 0
    left_out = lines[lines.index("=== what was left out for want of time") + 1 : -2]
    assert left_out == ["test-slow: 3 of 9 tests, seed 5: 3 in test_a.py"]


def test_it_repeats_in_the_end_what_was_counted() -> None:
    _, lines = run(Targets(says={"test": "4000 passed, 0 failed"}))

    summary = lines[lines.index("=== what was run") + 1]
    assert summary.startswith("test ")
    assert summary.endswith("4000 passed, 0 failed")


def test_it_repeats_in_the_end_what_failed() -> None:
    says = {
        "test": "unit tests    | FAILED tests/billing/test_a.py::test_b[c] - assert 1 == 2",
        "mutations": "SURVIVED: charge: more than is available",
    }

    _, lines = run(Targets(says=says, broken="test"))

    assert lines[lines.index("=== what failed") + 1 : -2] == [
        "test: tests/billing/test_a.py::test_b[c]",
        "mutations: charge: more than is available",
    ]


def test_without_time_it_runs_the_tests_and_names_every_proof_it_left_out() -> None:
    targets = Targets()

    code, lines = run(targets, seconds=0)

    assert code == 0
    assert list(targets.given) == ["test"]
    left_out = lines[lines.index("=== what was left out for want of time") + 1 : -2]
    assert left_out == [f"{proof.target}: all of it" for proof in ci.PROOFS]


def test_the_end_says_how_fast_the_machine_is() -> None:
    _, lines = run(Targets())

    assert "million steps of Python a second" in lines[-2]


def test_a_target_that_hangs_is_stopped_and_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ci, "OVERRUN_S", 0.0)
    monkeypatch.setattr(ci, "MAKE", ("sleep",))
    lines: list[str] = []

    code = ci.make("600", {"PROOF_SECONDS": "0.1"}, lines.append)

    assert code == 124
    assert "hangs" in lines[0]


def test_a_target_gets_its_share_and_nothing_of_the_callers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ci, "MAKE", ("env", "sh", "-c"))
    monkeypatch.setenv("MAKEFLAGS", "n")
    monkeypatch.setenv("PROOF_SECONDS", "1")
    lines: list[str] = []

    code = ci.make(
        'echo "$PROOF_SECONDS $PROOF_SEED [$MAKEFLAGS]"', {"PROOF_SECONDS": "9"}, lines.append
    )

    assert code == 0
    assert lines == ["9  []"]


def test_what_it_runs_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text()

    assert all(f"\n{target}: " in makefile for target in ALL)


def test_processors_are_named(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("model name\t: Fast 9000\nflags\t: a\nmodel name\t: Fast 9000\n")

    assert ci.processors(cpuinfo) == "2 × Fast 9000"
    assert ci.processors(tmp_path / "none") == "processors unknown"


def test_the_seed_is_the_commits() -> None:
    assert 0 <= ci.seed_of_commit() < 16**7
