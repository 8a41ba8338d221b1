"""The tools of `make conformance`, without the suites themselves."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.conformance import __main__ as command
from tests.conformance import openai_python, runs
from tests.conformance.clients import NODE
from tests.conformance.openai_python import Edit
from tests.conformance.runs import Outcome

REPORT = """<testsuites><testsuite>
<testcase name="a"/>
<testcase name="b"><failure message="no">no</failure></testcase>
<testcase name="c"><skipped message="VCR not set up.">x</skipped></testcase>
</testsuite></testsuites>"""


def count(report: Path, *, is_good: bool) -> Outcome:
    return runs._count("x", report, 1.0, report, is_good=is_good)


def test_it_counts_what_a_report_says(tmp_path: Path) -> None:
    report = tmp_path / "x.xml"
    report.write_text(REPORT)

    outcome = count(report, is_good=False)

    assert (outcome.passed, outcome.failed) == (1, 1)
    assert outcome.skipped == Counter(["VCR not set up."])
    assert not outcome.is_good


def test_a_run_without_a_report_has_failed(tmp_path: Path) -> None:
    assert not count(tmp_path / "missing.xml", is_good=True).is_good


def test_a_run_that_ends_badly_has_failed_whatever_it_counted(tmp_path: Path) -> None:
    report = tmp_path / "x.xml"
    report.write_text('<testsuite><testcase name="a"/></testsuite>')

    assert count(report, is_good=True).is_good
    assert not count(report, is_good=False).is_good


def test_a_run_without_tests_is_not_good(tmp_path: Path) -> None:
    report = tmp_path / "x.xml"
    report.write_text("<testsuite/>")

    assert not count(report, is_good=True).is_good


@pytest.mark.parametrize(
    ("reason", "is_explained"), [("VCR not set up.", True), ("It was raining.", False)]
)
def test_a_skip_needs_its_reason_in_the_readme(reason: str, is_explained: bool) -> None:
    outcome = Outcome("x", 1.0, passed=1, skipped=Counter([reason]))

    assert command._are_explained([outcome]) is is_explained


def test_an_edit_that_no_longer_matches_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text("max_tokens=1\n")

    with pytest.raises(ValueError, match="nothing matches"):
        openai_python._apply(Edit("test_x.py", "max_tokens=0", "", "why"), tmp_path)


def test_every_node_package_is_pinned_by_hash_and_by_no_address() -> None:
    lock = json.loads((NODE / "package-lock.json").read_text())
    packages = [entry for name, entry in lock["packages"].items() if name]

    assert packages
    assert [entry for entry in packages if "integrity" not in entry or "resolved" in entry] == []
