"""What a web process started and ended, in a local file, in case Redis or the process is lost.

One line per fact, appended with a single write, so that a killed process leaves at most its last
line torn. The process holds a lock on its file as long as it lives; a file whose lock is free has
lost its process, and the worker adopts it (`billing.services.adoption`). Files are rotated: the
new one starts with what is still open, so that an old one can be adopted while its process lives.

    ["s", [request facts…], held credits]    a hold was placed; the upstream is called next
    ["e", [request facts…], [settlement…]]   the request ended; written before Redis is told
    ["v", request id]                        no upstream accepted it; the hold is released
    ["r"]                                    rotated: whatever is open goes on in the next file
"""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import orjson

from billing.usage import RequestFacts, Settlement

SUFFIX = ".journal"
ROTATE_BYTES = 8 * 1024 * 1024
ROTATE_S = 300


class Journal:
    """The journal of this process. Not for threads: one event loop writes it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: dict[str, tuple[RequestFacts, int]] = {}
        self._file = -1
        self._written = 0
        self._rotate_at = 0.0

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Start this process's journal. Whoever opens it closes it."""
        directory.mkdir(parents=True, exist_ok=True)
        journal = cls(directory)
        journal._begin_file()
        return journal

    def start(self, facts: RequestFacts, held_credits: int) -> None:
        """Note a hold, after it was placed and before the upstream is called."""
        self._open[facts.request_id] = (facts, held_credits)
        self._write(["s", facts.as_tuple(), held_credits])

    def end(self, facts: RequestFacts, settlement: Settlement) -> None:
        """Note how a request ended, before Redis is told."""
        self._open.pop(facts.request_id, None)
        self._write(["e", facts.as_tuple(), settlement.as_tuple()])

    def void(self, facts: RequestFacts) -> None:
        """Note that no upstream accepted a request, before Redis is told."""
        self._open.pop(facts.request_id, None)
        self._write(["v", facts.request_id])

    def close(self) -> None:
        """Let go of the file: the worker settles what is not booked by now. Safe to repeat."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, line: list[object]) -> None:
        if self._written >= ROTATE_BYTES or time.monotonic() >= self._rotate_at:
            self._rotate()
        self._append(line)

    def _append(self, line: list[object]) -> None:
        packed = orjson.dumps(line) + b"\n"
        os.write(self._file, packed)
        self._written += len(packed)

    def _rotate(self) -> None:
        old = self._file
        self._begin_file()
        for facts, held_credits in self._open.values():
            self._append(["s", facts.as_tuple(), held_credits])
        # Only now: a crash in between leaves open requests in both files, never in none.
        os.write(old, orjson.dumps(["r"]) + b"\n")
        os.close(old)

    def _begin_file(self) -> None:
        name = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}{SUFFIX}"
        # Made under another name and locked first: the worker never sees it without its lock.
        hidden = self._directory / f".{name}"
        self._file = os.open(hidden, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        hidden.rename(self._directory / name)
        self._written = 0
        self._rotate_at = time.monotonic() + ROTATE_S


@dataclass
class JournalContents:
    """What one file, or many, say. A request that is open was started and never ended."""

    held: dict[str, tuple[RequestFacts, int]] = field(default_factory=dict)
    ended: dict[str, tuple[RequestFacts, Settlement]] = field(default_factory=dict)
    voided: set[str] = field(default_factory=set)
    is_rotated: bool = False

    def open_requests(self) -> list[tuple[RequestFacts, int]]:
        """Return what was started and neither ended nor voided, with the credits held."""
        over = self.voided | self.ended.keys()
        return [hold for request_id, hold in self.held.items() if request_id not in over]

    def read(self, path: Path) -> None:
        """Add what a file says; a torn last line is no line."""
        for line in path.read_bytes().split(b"\n")[:-1]:
            self._take(orjson.loads(line))

    def _take(self, line: list[list[object]]) -> None:
        kind: object = line[0]
        if kind == "s":
            facts = _facts(line[1])
            self.held[facts.request_id] = (facts, int(str(line[2])))
        elif kind == "e":
            facts = _facts(line[1])
            self.ended[facts.request_id] = (facts, Settlement(*line[2]))  # type: ignore[arg-type]
        elif kind == "v":
            self.voided.add(str(line[1]))
        elif kind == "r":
            self.is_rotated = True


def _facts(packed: list[object]) -> RequestFacts:
    return RequestFacts(*packed)  # type: ignore[arg-type]


def journal_files(directory: Path) -> list[Path]:
    """Return every journal in a directory, oldest first, of living processes and of lost ones."""
    return sorted(directory.glob(f"[!.]*{SUFFIX}"), key=lambda path: path.name.rsplit("-", 1)[-1])


def read_all(directory: Path) -> JournalContents:
    """Read every journal in a directory as one."""
    contents = JournalContents()
    for path in journal_files(directory):
        try:
            contents.read(path)
        except FileNotFoundError:
            # Another worker has adopted it: everything in it is booked.
            continue
    return contents


def adoptable_files(directory: Path) -> Iterator[Path]:
    """Yield files whose process is gone or has rotated them, each locked while it is looked at."""
    for path in journal_files(directory):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            yield path
        finally:
            os.close(file)
