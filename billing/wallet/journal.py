"""What a web process started and ended, in a local file, in case Redis or the process is lost.

One line per fact, appended with a single write, so a killed process leaves at most its last line
torn, and a full disk tears none. The process holds a lock on its file as long as it lives; a
file whose lock is free has lost its process, and the worker adopts it
(`billing.upkeep.adoption`). Files are rotated: the new one starts with what is still open, so
that an old one can be adopted while its process lives.

    ["s", [request facts…], held credits]    a hold was placed, or an upstream refused the request
    ["s", [request facts…], held credits, [settlement…]]
                                             an upstream has had the request for a second; what to
                                             settle if the process dies before it notes progress in
                                             Redis
    ["e", [request facts…], [settlement…]]   the request ended; written before Redis is told
    ["v", request id]                        no upstream accepted it; the hold is released
    ["r"]                                    rotated: open requests continue in the next file
"""

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import time
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import orjson
import structlog

from billing.wallet.keys import shard_of
from billing.wallet.usage import RequestFacts, Settlement

log = structlog.get_logger(__name__)

SUFFIX = ".journal"
FOLDER_NAME = ".folder"
ROTATE_BYTES = 8 * 1024 * 1024
ROTATE_S = 300
# A rotation copies the open requests, so `rotate_soon` causes at most one in this time.
SOON_S = 2


class Journal:
    """The journal of this process. Not thread-safe: one event loop writes it."""

    def __init__(self, directory: Path, *, rotate_s: float = ROTATE_S) -> None:
        self._directory = directory
        self.rotate_bytes = ROTATE_BYTES
        self.rotate_s = rotate_s
        # The line of each open request.
        self._open: dict[str, list[object]] = {}
        # Ends that the disk had no room for, oldest first.
        self._owed: deque[tuple[str, list[object]]] = deque()
        self._file = -1
        self._written = 0
        self._rotate_at = 0.0

    @classmethod
    def open(cls, directory: Path, *, rotate_s: float = ROTATE_S) -> Self:
        """Start this process's journal; the caller closes it."""
        directory.mkdir(parents=True, exist_ok=True)
        journal = cls(directory, rotate_s=rotate_s)
        journal._begin_file()
        return journal

    def start(self, facts: RequestFacts, held_credits: int) -> None:
        """Note a hold, after it was placed and before an upstream is called. Raises OSError."""
        self._write_owed()
        line = ["s", facts.as_tuple(), held_credits]
        self._write(line)
        self._open[facts.request_id] = line

    def ask(self, facts: RequestFacts, held_credits: int, if_lost: Settlement) -> None:
        """Note that an upstream has the request, and what that costs if nobody ends it.

        On a full disk the request goes on, and costs nothing if its process dies at once.
        """
        self._change(facts, ["s", facts.as_tuple(), held_credits, if_lost.as_tuple()])

    def refused(self, facts: RequestFacts, held_credits: int) -> None:
        """Note that the upstream that was asked did not take the request. Otherwise as `ask`."""
        self._change(facts, ["s", facts.as_tuple(), held_credits])

    def _change(self, facts: RequestFacts, line: list[object]) -> None:
        # Remembered first, so that the next file has it even if this one has no room.
        self._open[facts.request_id] = line
        try:
            self._write(line)
        except OSError:
            log.exception("journal_not_written", request_id=facts.request_id)

    def end(self, facts: RequestFacts, settlement: Settlement) -> None:
        """Note how a request ended, before Redis is told. A full disk delays the line only."""
        self._end(facts.request_id, ["e", facts.as_tuple(), settlement.as_tuple()])

    def void(self, facts: RequestFacts) -> None:
        """Note that no upstream accepted a request, before Redis is told. Otherwise as `end`."""
        self._end(facts.request_id, ["v", facts.request_id])

    def catch_up(self) -> None:
        """Write what the disk had no room for, and rotate if that is due. A timer calls it."""
        try:
            self._write_owed()
        except OSError:
            log.exception("journal_not_written", owed=len(self._owed))
        self.rotate_if_due()

    def _end(self, request_id: str, line: list[object]) -> None:
        """Note an end. A failed write is kept for later, so that Redis is told nevertheless.

        Until it is written, the request stays open here and `start` raises.
        """
        self._owed.append((request_id, line))
        try:
            self._write_owed()
        except OSError:
            log.exception("journal_not_written", request_id=request_id)

    def _write_owed(self) -> None:
        while self._owed:
            request_id, line = self._owed[0]
            self._write(line)
            self._owed.popleft()
            self._open.pop(request_id, None)

    def rotate_if_due(self) -> None:
        """Continue in a new file if this one is old or long. Called before each line."""
        if not self._written:
            return
        if self._written >= self.rotate_bytes or time.monotonic() >= self._rotate_at:
            try:
                self._rotate()
            except OSError:
                # The old file is still good; the next line tries again.
                log.exception("journal_not_rotated")

    def rotate_soon(self) -> None:
        """Have a worker adopt this file within seconds. Calls until then share one rotation."""
        self._rotate_at = min(self._rotate_at, time.monotonic() + SOON_S)

    def close(self) -> None:
        """Close the file, so that the worker settles what is not booked. Safe to repeat."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self, line: list[object]) -> None:
        self.rotate_if_due()
        self._append(self._file, line)

    def _append(self, file: int, line: list[object]) -> None:
        packed = orjson.dumps(line) + b"\n"
        written = os.write(file, packed)
        if written < len(packed):
            # The disk is full. Half a line would spoil the next line.
            os.ftruncate(file, os.fstat(file).st_size - written)
            raise OSError(errno.ENOSPC, "The journal's disk is full.")
        self._written += written

    def _rotate(self) -> None:
        old, old_written = self._file, self._written
        path = self._begin_file()
        try:
            for line in self._open.values():
                self._append(self._file, line)
            # Last, so that a crash in between leaves open requests in both files, never in none.
            self._append(old, ["r"])
        except OSError:
            # Removed while locked, so that the worker can't take it for a lost process's file.
            path.unlink()
            os.close(self._file)
            self._file, self._written = old, old_written
            raise
        os.close(old)
        # Copied lines don't count: more open requests than fit into a file would otherwise cause
        # a rotation with every line.
        self._written = 0

    def _begin_file(self) -> Path:
        # The time orders the files; the random part keeps two of the same instant apart.
        unique = f"{time.time_ns()}-{secrets.token_hex(4)}"
        path = self._directory / f"{socket.gethostname()}-{os.getpid()}-{unique}{SUFFIX}"
        # Made under another name and locked first, so that the worker never sees it unlocked.
        hidden = path.with_name(f".{path.name}")
        file = os.open(hidden, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            hidden.rename(path)
        except OSError:
            os.close(file)
            raise
        self._file = file
        self._written = 0
        self._rotate_at = time.monotonic() + self.rotate_s
        return path


@dataclass
class JournalContents:
    """What one or more files say. An open request was started and never ended."""

    held: dict[str, tuple[RequestFacts, int]] = field(default_factory=dict)
    # What to settle for those that an upstream was sent, if nothing more is known of them.
    if_lost: dict[str, Settlement] = field(default_factory=dict)
    ended: dict[str, tuple[RequestFacts, Settlement]] = field(default_factory=dict)
    voided: set[str] = field(default_factory=set)
    is_rotated: bool = False
    unreadable_lines: int = 0

    def open_requests(self) -> list[tuple[RequestFacts, int]]:
        """Return what was started and neither ended nor voided, with the credits held."""
        over = self.voided | self.ended.keys()
        return [hold for request_id, hold in self.held.items() if request_id not in over]

    def __len__(self) -> int:
        """Return how many starts and ends there are."""
        return len(self.held) + len(self.ended)

    def of_shards(self, shards: Collection[int]) -> "JournalContents":
        """Return what of this belongs to wallets of these shards."""
        return replace(
            self,
            held={r: one for r, one in self.held.items() if shard_of(one[0].wallet_id) in shards},
            ended={r: one for r, one in self.ended.items() if shard_of(one[0].wallet_id) in shards},
        )

    def has_begun(self, request_id: str) -> bool:
        """Return whether a request was started and not voided."""
        return request_id in self.held and request_id not in self.voided

    def read(self, path: Path) -> None:
        """Add a file's lines; a torn last line is ignored. Raises FileNotFoundError."""
        for line in path.read_bytes().split(b"\n")[:-1]:
            try:
                self._take(orjson.loads(line))
            except (ValueError, TypeError, IndexError, KeyError):
                # One bad line must not hide the others; the adoption of the file reports it.
                self.unreadable_lines += 1

    def _take(self, line: list[list[object]]) -> None:
        kind: object = line[0]
        if kind == "s":
            facts = _facts(line[1])
            self.held[facts.request_id] = (facts, int(str(line[2])))
            self.if_lost.pop(facts.request_id, None)
            if len(line) > 3:
                self.if_lost[facts.request_id] = Settlement(*line[3])  # type: ignore[arg-type]
        elif kind == "e":
            facts, settlement = _facts(line[1]), Settlement(*line[2])  # type: ignore[arg-type]
            known = self.ended.get(facts.request_id)
            if known is None or known[1].target_credits <= settlement.target_credits:
                self.ended[facts.request_id] = (facts, settlement)
        elif kind == "v":
            self.voided.add(str(line[1]))
        elif kind == "r":
            self.is_rotated = True
        else:
            raise ValueError(f"A journal's line is of no known kind: {kind!r}")


def _facts(packed: list[object]) -> RequestFacts:
    return RequestFacts(*packed)  # type: ignore[arg-type]


def name_folder(directory: Path) -> str:
    """Return a folder's own name, made once, which is the same wherever it is mounted."""
    path = directory / FOLDER_NAME
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        mine = path.with_name(f"{FOLDER_NAME}-{secrets.token_hex(4)}")
        mine.write_text(secrets.token_hex(8))
        # Of many processes that do this at once, the first names it.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(mine)
        mine.unlink()
    return path.read_text()


def journal_files(directory: Path) -> list[Path]:
    """Return every journal in a directory, of living processes and of lost ones."""
    return sorted(directory.glob(f"[!.]*{SUFFIX}"))


def read_all(directory: Path) -> JournalContents:
    """Read every journal in a directory as one."""
    contents = JournalContents()
    read: set[Path] = set()
    # Repeated until nothing is new: a file that was rotated before it was read has a successor.
    while unread := [path for path in journal_files(directory) if path not in read]:
        for path in unread:
            read.add(path)
            with contextlib.suppress(FileNotFoundError):
                # Adopted meanwhile: everything in it is booked.
                contents.read(path)
    return contents


def adoptable_files(directory: Path) -> Iterator[Path]:
    """Yield files whose process is gone or has rotated them, each locked while in use."""
    for path in journal_files(directory):
        try:
            file = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another worker may have finished it between the two lines above.
            if os.fstat(file).st_nlink:
                yield path
        except BlockingIOError:
            continue
        finally:
            os.close(file)
