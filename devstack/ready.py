"""Wait until a child serves, or tell why it does not."""

import http.client
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable

from devstack.errors import LaunchError
from devstack.process import Process

POLL_S = 0.05
# Not shorter, because each question is a line in the log of the process.
ASK_AGAIN_S = 0.25
SAID_AFTER_S = 2.0


class NotReady(LaunchError):
    """A child runs, but does not answer as it should."""


class LongWait:
    """Says what a server is doing, once it has taken longer than somebody waits without a word."""

    def __init__(self, say: Callable[[str], object] | None, words: str) -> None:
        self._say, self._words = say, words
        self._began_at = time.monotonic()

    def go_on(self) -> None:
        """Look whether it is time, and say it once."""
        if self._say is not None and time.monotonic() - self._began_at > SAID_AFTER_S:
            self._say(self._words)
            self._say = None


def await_port(process: Process, port: int, *, timeout_s: float = 60.0) -> None:
    """Wait until something accepts connections there. Raises LaunchError if the child ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        refuse_dead([process])
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            time.sleep(POLL_S)
        else:
            return
    raise NotReady(f"{process.name} does not listen on port {port} after {timeout_s:.0f} s")


def await_ok(url: str, *, needs: Iterable[Process], timeout_s: float = 60.0) -> None:
    """Wait for a 200. Raises LaunchError, with the last answer, if a needed child ended."""
    deadline = time.monotonic() + timeout_s
    needed = list(needs)
    while True:
        refuse_dead(needed)
        status, said = ask(url)
        if status == http.HTTPStatus.OK:
            return
        if time.monotonic() > deadline:
            raise NotReady(f"{url} is not ready after {timeout_s:.0f} s: {status} {said}")
        time.sleep(ASK_AGAIN_S)


def ask(url: str) -> tuple[int, str]:
    """Return the status and the start of the body; status 0 if there was no answer."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - our own http URL
            return response.status, response.read(2000).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)


def refuse_dead(processes: Iterable[Process]) -> None:
    """Raise LaunchError if one of them ended."""
    for process in processes:
        if not process.is_running:
            raise LaunchError(f"{process.name} ended with {process.exit_code}{last_words(process)}")


def last_words(process: Process) -> str:
    """Return the end of a process' log file, if it writes one."""
    if callable(process.output):
        return ""
    said = process.output.read_text(errors="replace").strip()
    return f" (see {process.output}):\n{said[-3000:]}" if said else ""
