"""The suites: how each is run, and what it counted."""

import os
import shutil
import subprocess
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from devstack.share import LEFT_OUT
from tests.conformance import openai_python
from tests.conformance.clients import NODE, PYTHON, ROOT, set_up_agents, set_up_node

SUITES = Path(__file__).with_name("suites")
TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Suite:
    """One run of other people's clients or tests."""

    name: str
    # pytest's arguments, or the files that Node runs.
    arguments: list[str]
    folder: Path = SUITES
    is_node: bool = False
    # Installs what it needs beside the common environment; says why that is impossible.
    set_up: Callable[[], str | None] = field(default=lambda: None)


@dataclass(frozen=True)
class Outcome:
    """What a suite counted."""

    name: str
    seconds: float
    passed: int = 0
    failed: int = 0
    # By reason.
    skipped: Counter[str] = field(default_factory=Counter)
    log: Path | None = None
    # What it says that it left out for want of time.
    left_out: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Nothing failed, and something was tried or there is a reason why not."""
        tried = self.passed + self.skipped.total()
        return not self.failed and (tried > 0 or bool(self.left_out))


def list_suites(folder: Path) -> list[Suite]:
    """Every suite, the longest first: two run side by side."""
    return [
        Suite("specification", ["suite_specification.py"]),
        Suite("own-schema", ["suite_own_schema.py"]),
        Suite("langchain", ["suite_langchain.py"]),
        Suite("llm", ["suite_llm.py"]),
        Suite("openai-python", [], folder),
        Suite("pydantic-ai", ["suite_pydantic_ai.py"]),
        Suite("openai-sdk", ["suite_openai_sdk.py"]),
        Suite("agents", ["suite_agents.py"], set_up=set_up_agents),
        Suite("recipes", ["suite_recipes.py"], set_up=lambda: set_up_node() or set_up_agents()),
        Suite(
            "node",
            [str(NODE / name) for name in ("openai.test.js", "ai.test.js", "corpus.test.js")],
            NODE,
            is_node=True,
            set_up=set_up_node,
        ),
    ]


def run(suite: Suite, environment: Mapping[str, str], logs: Path) -> Outcome:
    """Run one suite to its end and count."""
    report = logs / f"{suite.name}.xml"
    report.unlink(missing_ok=True)
    log = logs / f"{suite.name}.log"
    started = time.monotonic()
    folder = suite.folder
    if suite.name == "openai-python":
        folder = openai_python.prepare(folder, PYTHON)
        command = [*_pytest(report), *openai_python.arguments(folder)]
    elif suite.is_node:
        command = [*_node(report), *suite.arguments]
    else:
        config = ["-c", str(SUITES / "pytest.ini"), "--rootdir", str(SUITES)]
        command = [*_pytest(report), *config, *suite.arguments]
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environment, "PYTHONPATH": str(_share_alone(logs))},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=TIMEOUT_S,
            check=False,
        )
    seconds = time.monotonic() - started
    outcome = _count(suite.name, report, seconds, log, is_good=done.returncode == 0)
    said = log.read_text(errors="replace").splitlines()
    return replace(outcome, left_out=[line for line in said if line.startswith(LEFT_OUT)])


def _share_alone(folder: Path) -> Path:
    """Return a folder with the launcher's package, and with nothing else of this tree."""
    alone = folder / "path"
    alone.mkdir(exist_ok=True)
    # Several suites begin at once, each in a thread.
    with suppress(FileExistsError):
        (alone / "devstack").symlink_to(ROOT / "devstack")
    return alone


def _pytest(report: Path) -> list[str]:
    plugin = ["-p", "devstack.pytest_share"]
    report_to = f"--junitxml={report}"
    return [str(PYTHON), "-m", "pytest", *plugin, "--tb=short", "--no-header", report_to]


def _node(report: Path) -> list[str]:
    node = shutil.which("node") or "node"
    reporters = ["--test-reporter=spec", "--test-reporter-destination=stdout"]
    reporters += ["--test-reporter=junit", f"--test-reporter-destination={report}"]
    return [node, "--test", *reporters]


def _count(name: str, report: Path, seconds: float, log: Path, *, is_good: bool) -> Outcome:
    """Read a JUnit report. A run that left none, or ended badly all the same, is a failure."""
    try:
        cases = list(ET.parse(report).getroot().iter("testcase"))  # noqa: S314 - our own run's
    except (OSError, ET.ParseError):
        return Outcome(name, seconds, failed=1, log=log)
    failed = sum(
        case.find("failure") is not None or case.find("error") is not None for case in cases
    )
    reasons = [case.find("skipped") for case in cases]
    skipped = Counter(_reason(skip) for skip in reasons if skip is not None)
    passed = len(cases) - failed - skipped.total()
    if not is_good and not failed:
        failed = 1
    return Outcome(name, seconds, passed, failed, skipped, log)


def _reason(skip: ET.Element) -> str:
    return skip.get("message") or (skip.text or "").strip() or "no reason given"
