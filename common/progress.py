"""How far a long command has come, told to whoever waits at a terminal; and how it is stopped."""

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.core.management.base import BaseCommand, CommandError
from django.db import connections

# As a shell has it of a process that was interrupted.
STOPPED = 130


class Progress(Protocol):
    """Is told of each step before it begins; of steps that are alike, how many are done."""

    def __call__(self, step: str, /, *, done: int = 0, of: int = 0) -> object: ...


def unseen(_: str, /, *, done: int = 0, of: int = 0) -> None:
    """Tell nobody: what a sweep is given."""


@dataclass
class Shown:
    """Writes each step with the time until now, and how long those that are alike will still take.

    The first of them, of which none is done, begins their time.
    """

    write: Callable[[str], object]
    began_at: float = field(default_factory=time.monotonic)
    first_at: float = 0.0

    def __call__(self, step: str, /, *, done: int = 0, of: int = 0) -> None:
        now = time.monotonic()
        if not done:
            self.first_at = now
        left_s = (now - self.first_at) / done * (of - done) if done else 0.0
        left = f", about {left_s:.0f} s left" if done else ""
        self.write(f"{now - self.began_at:7.1f} s  {step}{left}")


def shown_by(command: BaseCommand, *, verbosity: int) -> Progress:
    """Return what shows a command's steps, on a terminal or with --verbosity 2."""
    if verbosity < 2 and not sys.stderr.isatty():
        return unseen
    return Shown(lambda line: command.stderr.write(line, str))


class LongCommand(BaseCommand):
    """A command that may take long: Ctrl-C and SIGTERM stop it alike, and it says what is next."""

    # A command that goes on where it was says so here as it gets on.
    when_stopped: str

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            with _interrupted_by_sigterm():
                return super().execute(*args, **options)
        except KeyboardInterrupt:
            # One that was interrupted while it sent a statement would wait for the answer for ever.
            connections.close_all()
            raise CommandError(f"Stopped. {self.when_stopped}", returncode=STOPPED) from None


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what runs as Ctrl-C does, so that what it began is undone."""
    # Only the main thread may say what a signal does; elsewhere it is another's to say.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
