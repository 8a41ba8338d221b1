"""What the launcher prints: every child's lines under its name, and a banner."""

import os
import sys
import threading
from typing import TextIO

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)  # ANSI foreground colours, easy to tell apart
NAME_WIDTH = 9


class Console:
    """Whole lines to a stream, from any thread, coloured only on a terminal."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}
        # https://no-color.org
        self.has_colour = stream.isatty() and not os.environ.get("NO_COLOR")

    def show(self, name: str, line: str) -> None:
        """Print one line of a child."""
        self.say(f"{self._tint(f'{name:<{NAME_WIDTH}}', name)}| {line}")

    def say(self, text: str) -> None:
        with self._lock:
            try:
                print(text, file=self._stream, flush=True)
            except (BrokenPipeError, ValueError):
                # The reader is gone; the children must still be stopped in order.
                return

    def _tint(self, text: str, name: str) -> str:
        if not self.has_colour:
            return text
        with self._lock:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\033[{colour}m{text}\033[0m"
