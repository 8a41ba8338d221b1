"""Children die with the process that started them, and stop when told."""

import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack.process import Process
from tests.devstack.conftest import Script, is_running
from tests.waiting import await_true

# Says that it is there, then waits for a signal.
SLEEPER = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\n"
    "while True: signal.pause()",
]
# Starts a sleeper in the way named by its argument, prints the process id, and waits.
PARENT = """
import signal, sys
from devstack.process import Process
sleeper = [sys.executable, "-c", "import signal; print('up', flush=True); signal.pause()"]
child = Process("child", sleeper, output=lambda line: print(child.pid, flush=True),
                use_pipe=sys.argv[1] == "pipe")
child.start()
signal.pause()
"""


class Lines:
    """Collects a child's lines; `first` is set with the first one."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.first = threading.Event()

    def __call__(self, line: str) -> None:
        self.seen.append(line)
        self.first.set()


def start(argv: list[str], **options: float) -> tuple[Process, Lines]:
    lines = Lines()
    process = Process("child", argv, output=lines, stop_timeout_s=options.get("stop_timeout_s", 10))
    process.start()
    return process, lines


@pytest.mark.parametrize("way", ["death signal", "pipe"])
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_dies_with_its_parent(
    script: Callable[..., Script], way: str, end: signal.Signals
) -> None:
    parent = script(PARENT, way)
    child = int(parent.line())

    parent.popen.send_signal(end)

    await_true(lambda: not is_running(child), what=f"process {child} to end")


def test_a_child_outlives_the_thread_that_started_it() -> None:
    lines = Lines()
    process = Process("child", SLEEPER, output=lines)
    starter = threading.Thread(target=process.start)

    starter.start()
    starter.join()

    assert lines.first.wait(10)
    assert process.is_running
    process.stop()


def test_it_has_the_process_id_of_the_command_itself() -> None:
    lines = Lines()
    process = Process(
        "child", [sys.executable, "-c", "import os; print(os.getpid())"], output=lines
    )

    process.start()

    assert process.wait(10) == 0
    assert lines.seen == [str(process.pid)]


def test_it_insists_when_a_child_does_not_stop() -> None:
    process, lines = start(STUBBORN, stop_timeout_s=0.2)
    assert lines.first.wait(10)

    code = process.stop()

    assert code == -signal.SIGKILL


def test_stopping_twice_is_stopping_once() -> None:
    process, lines = start(SLEEPER)
    assert lines.first.wait(10)

    codes = [process.stop(), process.stop()]

    assert codes == [-signal.SIGTERM, -signal.SIGTERM]


def test_it_tells_when_a_child_has_ended() -> None:
    ended = threading.Event()
    process = Process(
        "child",
        [sys.executable, "-c", "raise SystemExit(3)"],
        output=Lines(),
        on_exit=lambda _: ended.set(),
    )

    process.start()

    assert ended.wait(10)
    assert process.exit_code == 3


def test_a_command_that_does_not_exist_ends_with_127_and_says_so() -> None:
    process, lines = start(["/nonexistent/program"])

    code = process.wait(10)

    assert code == 127
    assert lines.seen == ["guard: /nonexistent/program: No such file or directory"]


def test_it_refuses_to_start_what_runs() -> None:
    process, lines = start(SLEEPER)
    assert lines.first.wait(10)

    with pytest.raises(RuntimeError, match="runs already"):
        process.start()

    process.stop()


def test_output_goes_to_a_file_when_one_is_given(tmp_path: Path) -> None:
    log = tmp_path / "child.log"
    process = Process("child", [sys.executable, "-c", "print('hello')"], output=log)

    process.start()
    process.wait(10)

    assert log.read_text() == "hello\n"
