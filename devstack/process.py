"""One child process: started under the guard, watched, and stopped within a bounded time."""

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import IO

GUARD = Path(__file__).with_name("guard.py")
HAS_DEATH_SIGNAL = sys.platform == "linux"

Output = Callable[[str], None] | Path
Order = Callable[[], subprocess.Popen[bytes]]


@dataclass(frozen=True)
class User:
    """The user that a child runs as."""

    uid: int
    gid: int


class Nursery:
    """The one thread that starts children.

    The kernel's death signal follows the *thread* that forked, not its process. A child started
    from a short-lived thread (a pool, a test) would die with that thread; this one lives as long
    as the process.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._orders: queue.SimpleQueue[tuple[Order, Future[subprocess.Popen[bytes]]]] = (
            queue.SimpleQueue()
        )
        self._pid = 0

    def start(self, order: Order) -> subprocess.Popen[bytes]:
        """Run `order` in the nursery's thread and return what it made."""
        self._ensure_thread()
        made: Future[subprocess.Popen[bytes]] = Future()
        self._orders.put((order, made))
        return made.result()

    def _ensure_thread(self) -> None:
        with self._lock:
            # Threads do not survive a fork: a forked process needs one of its own.
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._orders = queue.SimpleQueue()
                threading.Thread(target=self._work, name="nursery", daemon=True).start()

    def _work(self) -> None:
        while True:
            order, made = self._orders.get()
            try:
                made.set_result(order())
            except OSError as error:
                made.set_exception(error)


NURSERY = Nursery()


class Process:
    """A command that runs until it is stopped, and never longer than this process.

    `output` is a file to append to, or a function that is given each line without its end.
    `death_signal` is what the kernel sends when this process is gone; `stop_signal` is what `stop`
    sends. `on_exit` is called in a thread of its own whenever the command ends, for any reason.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        output: Output,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        stop_signal: signal.Signals = signal.SIGTERM,
        stop_timeout_s: float = 10.0,
        on_exit: Callable[["Process"], None] | None = None,
        use_pipe: bool = not HAS_DEATH_SIGNAL,
    ) -> None:
        self.name = name
        self.argv = [str(argument) for argument in argv]
        self.output = output
        self.env = dict(os.environ if env is None else env)
        self.cwd = cwd
        self.user = user
        self.death_signal = death_signal
        self.stop_signal = stop_signal
        self.stop_timeout_s = stop_timeout_s
        self.on_exit = on_exit
        self.use_pipe = use_pipe
        self._popen: subprocess.Popen[bytes] | None = None
        self._watch_end: int | None = None
        self._threads: list[threading.Thread] = []
        # Held from the command's start until it is watched: another thread may stop it meanwhile.
        self._starting = threading.Lock()

    @property
    def pid(self) -> int:
        """The command's own process id. Raises RuntimeError before the first start."""
        return self._started().pid

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """As subprocess has it: negative for a signal, None while it runs."""
        return self._popen.poll() if self._popen else None

    def start(self) -> None:
        """Start the command. Raises RuntimeError if it runs already."""
        if self.is_running:
            raise RuntimeError(f"{self.name} runs already, as process {self.pid}")
        with self._starting:
            self._popen = NURSERY.start(self._spawn)
            self._threads = [threading.Thread(target=self._await_exit, daemon=True)]
            if self._popen.stdout is not None:
                lines = self._popen.stdout
                reader = threading.Thread(target=self._read, args=(lines,), daemon=True)
                self._threads.append(reader)
            for thread in self._threads:
                thread.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        self._started().send_signal(number)

    def kill(self) -> None:
        """End it at once with SIGKILL, as a crash would, and wait until it is gone."""
        self._started().kill()
        self.wait()

    def stop(self) -> int | None:
        """Ask it to end, insist after `stop_timeout_s`. Safe to repeat. Returns the exit code."""
        if self._popen is None:
            return None
        self.signal(self.stop_signal)
        try:
            return self.wait(self.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self._kill_group()
            return self.wait()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for its end and for its last line. Raises subprocess.TimeoutExpired."""
        code = self._started().wait(timeout_s)
        with self._starting:
            threads = list(self._threads)
        for thread in threads:
            # A grandchild may hold the pipe open; its lines are not worth waiting for.
            if thread is not threading.current_thread():
                thread.join(1.0)
        return code

    def _spawn(self) -> subprocess.Popen[bytes]:
        read_end = self._open_watch_pipe()
        try:
            if not isinstance(self.output, Path):
                return self._popen_guard(read_end, stdout=subprocess.PIPE)
            with self.output.open("ab") as log:
                return self._popen_guard(read_end, stdout=log)
        finally:
            if read_end is not None:
                os.close(read_end)

    def _popen_guard(
        self, read_end: int | None, *, stdout: int | IO[bytes]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._guarded(read_end),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            env=self.env,
            cwd=self.cwd,
            # Ctrl-C in the terminal reaches the launcher alone, which stops its children in order.
            start_new_session=True,
            pass_fds=() if read_end is None else (read_end,),
        )

    def _guarded(self, read_end: int | None) -> list[str]:
        guard = [sys.executable, "-I", "-S", str(GUARD)]
        guard += ["--parent", str(os.getpid()), "--signal", str(int(self.death_signal))]
        if self.user is not None:
            guard += ["--uid", str(self.user.uid), "--gid", str(self.user.gid)]
        if read_end is not None:
            guard += ["--watch", str(read_end)]
        return [*guard, "--", *self.argv]

    def _open_watch_pipe(self) -> int | None:
        """Return the read end for the guard; the write end stays here until the command ends."""
        if not self.use_pipe:
            return None
        read_end, self._watch_end = os.pipe()
        return read_end

    def _await_exit(self) -> None:
        self._started().wait()
        if self._watch_end is not None:
            os.close(self._watch_end)
            self._watch_end = None
        if self.on_exit is not None:
            self.on_exit(self)

    def _read(self, stdout: IO[bytes]) -> None:
        with stdout:
            for line in stdout:
                if not isinstance(self.output, Path):
                    self.output(line.decode(errors="replace").rstrip())

    def _kill_group(self) -> None:
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _started(self) -> subprocess.Popen[bytes]:
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._popen
