"""`make test`: every check and every test, all of them even if one fails.

Two lanes run side by side: the static checks and then the tests of the running product; and the
other tests. Each step's output is kept under `var/test-logs/`.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from devstack.console import Console
from devstack.environment import ROOT, child_environment, local_settings
from devstack.errors import LaunchError
from devstack.locks import FileLock, IsLocked
from devstack.process import Process
from devstack.pytest_plugin import SERVICES_HOME, open_folder, start_postgres
from devstack.share import Share, take_share

VAR = ROOT / "var"
LOGS = VAR / "test-logs"
JOURNAL = VAR / "journal"
# Long enough for any step on a slow machine, and an end for a step that hangs.
STEP_TIMEOUT_S = 1_800.0


@dataclass(frozen=True)
class Step:
    """One command of the run. `report` is where a pytest run leaves its results."""

    name: str
    argv: list[str]
    env: Mapping[str, str]
    report: Path | None = None


@dataclass(frozen=True)
class Result:
    """How a step ended, and what a pytest run counted."""

    name: str
    code: int
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    has_tests: bool = False

    @property
    def is_good(self) -> bool:
        return self.code == 0


class Interrupted(Exception):
    """The run was stopped before this step."""


class StepRunner:
    """Runs steps, from several threads at once. No step outlives the runner's block."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[Process] = []
        self._is_stopping = False

    def __enter__(self) -> "StepRunner":
        return self

    def __exit__(self, *_: object) -> None:
        self._is_stopping = True
        for process in list(self._running):
            process.stop()

    def run(self, step: Step) -> Result:
        """Run one step. A test run is shown as it goes, anything else only if it fails."""
        if step.report:
            step.report.unlink(missing_ok=True)
        lines: list[str] = []
        process = self._new_process(step, lines)
        started = time.monotonic()
        code = self._finish(process)
        seconds = time.monotonic() - started
        log = LOGS / f"{step.name.replace(' ', '-')}.log"
        log.write_text("\n".join(lines) + "\n")
        if step.report is None:
            self._tell(step, code, seconds, lines)
        return Result(step.name, code, seconds, *read_report(step.report), bool(step.report))

    def _new_process(self, step: Step, lines: list[str]) -> Process:
        def take(line: str) -> None:
            lines.append(line)
            if step.report:
                self._console.say(f"{step.name:<13} | {line}")

        # SIGINT: pytest stops its services and reports what it has.
        return Process(
            step.name, step.argv, output=take, env=step.env, cwd=ROOT, stop_signal=signal.SIGINT
        )

    def _finish(self, process: Process) -> int:
        """Run it to its end, or end it when its time is up."""
        if self._is_stopping:
            raise Interrupted(process.name)
        self._running.append(process)
        process.start()
        try:
            return process.wait(STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._console.say(f"{process.name} takes longer than {STEP_TIMEOUT_S:.0f} s: stopped")
            process.stop()
            return 124  # as timeout(1) does

    def _tell(self, step: Step, code: int, seconds: float, lines: Sequence[str]) -> None:
        if code == 0:
            self._console.say(f"--- {step.name}: ok, {seconds:.1f} s")
        else:
            self._console.say("\n".join([f"--- {step.name} failed with {code}", *lines[-200:]]))


Lanes = Callable[[Mapping[str, str], str, Console], list[Result]]


def lint() -> int:
    """Run the checks that need no tests, and print a summary. 0 if every step was good."""
    return check(run_static)


def slow() -> int:
    """Run the tests of the emulators, the launcher and all screens. 0 if every one was good."""
    return check(run_slow)


def check(run: Lanes | None = None) -> int:
    """Run everything, or what it is given, and print a summary. 0 if every step was good."""
    LOGS.mkdir(parents=True, exist_ok=True)
    lock = FileLock(VAR / "test.lock")
    services = None
    try:
        lock.acquire()
        services = open_folder(SERVICES_HOME)
        services.postgres = start_postgres(services.folder, SERVICES_HOME)
        environ = child_environment(os.environ, folder=VAR)
        results = (run or run_all)(environ, services.postgres.url, Console())
    except IsLocked as error:
        print(f"error: the tests run already: {error}")
        return 1
    except LaunchError as error:
        print(f"error: {error}")
        return 1
    finally:
        if services is not None:
            services.stop()
        lock.release()
    print(summary(results))
    return 0 if all(result.is_good for result in results) else 1


def run_all(environ: Mapping[str, str], database_url: str, console: Console) -> list[Result]:
    """Run two lanes of about the same length side by side."""
    static = static_steps(environ, database_url=database_url)
    lanes = [[*static, browser_step(environ), stack_step(environ)], [unit_step(environ)]]
    # The runner is left first: on Ctrl-C it stops the steps, for which the pool would wait.
    with ThreadPoolExecutor(len(lanes)) as pool, StepRunner(console) as runner:
        jobs = [pool.submit(run_lane, steps, runner) for steps in lanes]
        return [result for job in jobs for result in job.result()]


def run_static(environ: Mapping[str, str], database_url: str, console: Console) -> list[Result]:
    with StepRunner(console) as runner:
        return run_lane(static_steps(environ, database_url=database_url), runner)


def run_slow(environ: Mapping[str, str], database_url: str, console: Console) -> list[Result]:
    """Run one after the other, because the launcher's tests measure time."""
    with StepRunner(console) as runner:
        return run_lane(slow_steps(environ, take_share(os.environ)), runner)


def slow_steps(environ: Mapping[str, str], share: Share) -> Iterator[Step]:
    """Make each step when its turn comes, with its part of what is left of the clock by then."""
    makers = [slow_step, machine_step, screens_step]
    for done, make in enumerate(makers):
        yield make({**environ, **share.environment(parts=len(makers) - done)})


def run_lane(steps: Iterable[Step], runner: StepRunner) -> list[Result]:
    return [runner.run(step) for step in steps]


def static_steps(environ: Mapping[str, str], *, database_url: str) -> list[Step]:
    """Everything that reads the code without running it."""
    env = {**environ, **local_settings(database_url, journal=JOURNAL)}
    deployed = {**environ, **deployed_settings(database_url)}
    migrations = python("manage.py", "makemigrations", "--check", "--dry-run")
    deploy = python("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    return [
        Step("tools", python("-m", "devstack.tools"), env),
        Step("ruff check", python("-m", "ruff", "check", "."), env),
        Step("ruff format", python("-m", "ruff", "format", "--check", "."), env),
        Step("import-linter", python("-c", IMPORT_LINTER), env),
        Step("djlint format", python("-m", "djlint", "templates", "--check", "--quiet"), env),
        Step("djlint lint", python("-m", "djlint", "templates", "--lint", "--quiet"), env),
        Step("migrations", migrations, env),
        Step("check --deploy", deploy, deployed),
        Step("mypy", python("-m", "mypy", "."), env),
    ]


# It can't be run with -m, and its script's first line is wrong in a checkout that was moved.
IMPORT_LINTER = "from importlinter.cli import lint_imports_command as main; main()"


FAST = "not stack and not browser and not slow"


def unit_step(environ: Mapping[str, str]) -> Step:
    """The tests that need no running product: three at a time, because many of them wait."""
    return pytest("unit tests", environ, "-n", "3", "--dist", "worksteal", "-m", FAST)


def slow_step(environ: Mapping[str, str]) -> Step:
    """The tests of what surrounds the product, and of every column that the audit compares."""
    chosen = "slow and not browser"
    return pytest("slow tests", environ, "-n", "3", "--dist", "worksteal", "-m", chosen)


def machine_step(environ: Mapping[str, str]) -> Step:
    """The wallet's state machine, four times as long as in every run."""
    environ = {"MACHINE_EXAMPLES": "200", **environ}
    return pytest("state machine", environ, "tests/billing/wallet/test_machine.py")


def screens_step(environ: Mapping[str, str]) -> Step:
    """Chromium's look at every page on every screen."""
    return pytest("every screen", environ, "-m", "browser and slow", "tests/browser")


def stack_step(environ: Mapping[str, str]) -> Step:
    """The tests of the running product."""
    return pytest("stack tests", environ, "-m", "stack and not browser and not slow", "tests/stack")


def browser_step(environ: Mapping[str, str]) -> Step:
    """Chromium's tests, in a process of their own: their loop is no asyncio loop of ours."""
    return pytest("browser tests", environ, "-m", "browser and not slow", "tests/browser")


def pytest(name: str, environ: Mapping[str, str], *arguments: str) -> Step:
    report = LOGS / f"{name.replace(' ', '-')}.xml"
    argv = python("-m", "pytest", f"--junitxml={report}", *arguments)
    return Step(name, argv, environ, report=report)


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def deployed_settings(database_url: str) -> dict[str, str]:
    """As a production site would be set up."""
    deployed = {
        "DEBUG": "0",
        "LOG_FORMAT": "json",
        "STATIC_MANIFEST": "1",
        "ALLOW_LOOPBACK_PROVIDERS": "0",
        "ALLOW_LOOPBACK_WEBHOOKS": "0",
        "SITE_URL": "https://tokens.example.com",
        "ALLOWED_HOSTS": "tokens.example.com",
        "TRUSTED_PROXIES": "10.0.0.1",
        "EMAIL_URL": "smtp+tls://user:password@mail.example.com:587",
        "STRIPE_SECRET_KEY": "sk_live_" + secrets.token_hex(16),
    }
    return local_settings(database_url, journal=JOURNAL) | deployed


def read_report(report: Path | None) -> tuple[int, int, int]:
    """Return passed, failed and skipped. A run that left no report counts as one failure."""
    if report is None:
        return 0, 0, 0
    try:
        suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it
    except (OSError, ET.ParseError):
        return 0, 1, 0
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def summary(results: Sequence[Result]) -> str:
    """One line per step and, last, the total of the tests."""
    lines = ["", "Summary"]
    for result in results:
        state = "ok    " if result.is_good else "FAILED"
        lines.append(f"  {state} {result.name:<16} {result.seconds:7.1f} s")
    broken = [result.name for result in results if not result.is_good]
    if broken:
        lines.append(f"Failed: {', '.join(broken)}")
    if not any(result.has_tests for result in results):
        return "\n".join(lines)
    skipped = sum(result.skipped for result in results)
    lines.append(
        f"{sum(result.passed for result in results)} passed, "
        f"{sum(result.failed for result in results)} failed"
        + (f", {skipped} skipped" if skipped else "")
    )
    return "\n".join(lines)
