"""Lines of the log on their way to standard error: taken without waiting, written by a thread.

Whoever reads standard error may stall, and a web process must serve its requests meanwhile. Beyond
MOST_WAITING lines the newest are dropped, and one line says how many. A process that is killed
loses what it logged within the last PAUSE_S.
"""

import logging
import os
import threading
import time
from queue import Empty, SimpleQueue

STANDARD_ERROR = 2
MOST_WAITING = 20_000
# Lines that come within it are written at once: waking a thread for each costs more than the line.
PAUSE_S = 0.02
# How long a process that ends waits for a reader that stalls.
FLUSH_S = 2.0


class LineWriter:
    """Writes lines to a file descriptor in a thread of its own, which begins with the first."""

    def __init__(self, descriptor: int, *, most_waiting: int = MOST_WAITING) -> None:
        self._descriptor = descriptor
        self._most_waiting = most_waiting
        self._lost = 0
        # Its `put` may be interrupted by a signal's handler that logs, too.
        self._queue: SimpleQueue[bytes | threading.Event] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Take a line, without its end. Never waits."""
        if self._queue.qsize() >= self._most_waiting:
            self._lost += 1
            return
        self._queue.put(line + b"\n")
        if self._thread is None:
            self._start()

    def flush(self, seconds: float = FLUSH_S) -> bool:
        """Wait until what was taken is written. False if that takes longer."""
        if self._thread is None:
            return True
        written = threading.Event()
        self._queue.put(written)
        return written.wait(seconds)

    def _start(self) -> None:
        if not self._starting.acquire(blocking=False):
            return
        try:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-lines", daemon=True)
                self._thread.start()
        finally:
            self._starting.release()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if not isinstance(first, threading.Event):
                time.sleep(PAUSE_S)
            taken = [first, *self._take_all()]
            self._write(b"".join(item for item in taken if isinstance(item, bytes)))
            for item in taken:
                if isinstance(item, threading.Event):
                    item.set()

    def _take_all(self) -> list[bytes | threading.Event]:
        taken: list[bytes | threading.Event] = []
        try:
            while True:
                taken.append(self._queue.get_nowait())
        except Empty:
            return taken

    def _write(self, data: bytes) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            data += b'{"event":"log_lines_lost","level":"warning","count":%d}\n' % lost
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            # Nobody reads any more, and there is nowhere else to say so.
            return


STDERR = LineWriter(STANDARD_ERROR)


class LineHandler(logging.Handler):
    """Hands what is logged to the writer of standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record, and hand it over."""
        try:
            STDERR.put(self.format(record).encode(errors="replace"))
        except Exception:  # noqa: BLE001  # as logging's own handlers do
            self.handleError(record)

    def flush(self) -> None:
        """Wait for the writer: the last thing that a process does with its log."""
        STDERR.flush()
