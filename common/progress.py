"""How far a long command has come: told to whoever waits at a terminal."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.core.management.base import BaseCommand

Progress = Callable[[str], object]


def unseen(_: str) -> None:
    """Tell nobody: what a sweep is given."""


def shown_by(command: "BaseCommand", *, verbosity: int) -> Progress:
    """Return what shows a command's steps with their time, on a terminal or with --verbosity 2."""
    if verbosity < 2 and not sys.stderr.isatty():
        return unseen
    began_at = time.monotonic()
    return lambda step: command.stderr.write(f"{time.monotonic() - began_at:7.1f} s  {step}", str)
