"""Servers that a dead launcher left behind.

An orphan is a server whose working directory is a data directory that we hold the lock of: its
owner is gone, or we could not hold it. PostgreSQL and Valkey both change into theirs.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

PROC = Path("/proc")
POLL_S = 0.05


def find_orphans(folder: Path, *, commands: tuple[str, ...], pid_file: Path) -> list[int]:
    """Return the processes of these commands that live in the folder.

    Without /proc, returns only the process that the pid file names, if it is such a command.
    """
    if not (PROC / "self" / "cwd").exists():
        pid = read_pid(pid_file)
        return [pid] if pid and command_of(pid) in commands else []
    real = folder.resolve()
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())
    return [pid for pid in pids if lives_in(pid, real, commands)]


def end_orphans(
    folder: Path,
    *,
    commands: tuple[str, ...],
    pid_file: Path,
    signals: tuple[signal.Signals, ...],
    patience_s: float = 5.0,
) -> None:
    """Send each signal in turn, from polite to final, until no orphan is left."""
    for number in signals:
        orphans = find_orphans(folder, commands=commands, pid_file=pid_file)
        for pid in orphans:
            send(pid, number)
        deadline = time.monotonic() + patience_s
        while orphans and time.monotonic() < deadline:
            time.sleep(POLL_S)
            orphans = find_orphans(folder, commands=commands, pid_file=pid_file)
        if not orphans:
            return
    raise RuntimeError(f"processes {orphans} still use {folder} and do not end")


def lives_in(pid: int, folder: Path, commands: tuple[str, ...]) -> bool:
    try:
        here = (PROC / str(pid) / "cwd").readlink() == folder
        return here and (PROC / str(pid) / "comm").read_text().strip() in commands
    except OSError:
        # It ended meanwhile, or belongs to a user whose processes we may not see.
        return False


def read_pid(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None


def command_of(pid: int) -> str:
    """Ask `ps`, which every Unix has. Empty if there is no such process."""
    ps = ["ps", "-o", "comm=", "-p", str(pid)]
    shown = subprocess.run(ps, capture_output=True, text=True, check=False)
    return Path(shown.stdout.strip()).name


def send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
