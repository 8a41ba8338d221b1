"""`make run`: the whole product in the foreground, until Ctrl-C."""

import contextlib
import ctypes
import os
import queue
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType

from devstack.console import Console
from devstack.environment import ROOT
from devstack.errors import LaunchError
from devstack.guard import PR_SET_PDEATHSIG
from devstack.locks import FileLock, IsLocked
from devstack.plan import Planner, product_plan
from devstack.ports import is_free
from devstack.process import Process
from devstack.stack import Stack

VAR = ROOT / "var"
DEFAULT_PORT = 8000
# A killed launcher's web process may need a moment to release the port.
PORT_PATIENCE_S = 1.0
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(BaseException):
    """The user wants to stop. Not an Exception, so that no handler takes it for an error."""


def run(
    folder: Path = VAR,
    *,
    environ: Mapping[str, str] = os.environ,
    planner: Planner = product_plan,
    console: Console | None = None,
) -> int:
    """Run until told to stop (0), until a child dies or nothing starts (1). Main thread only."""
    console = console or Console()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "run.lock")
    try:
        lock.acquire()
        with stop_signals_raise():
            return serve(folder, environ=environ, planner=planner, console=console)
    except IsLocked as error:
        console.say(f"error: it runs already: {error}")
    except LaunchError as error:
        console.say(f"error: {error}")
    except StopRequested:
        return 0
    finally:
        lock.release()
    return 1


def serve(folder: Path, *, environ: Mapping[str, str], planner: Planner, console: Console) -> int:
    """Start, tell where things are, wait for an end, stop. Raises LaunchError, StopRequested."""
    started = time.monotonic()
    host, port = address(environ)
    deaths: queue.SimpleQueue[Process] = queue.SimpleQueue()
    stack = Stack(
        folder,
        environ=environ,
        durable=True,
        host=host,
        port=port,
        output=console.show,
        on_exit=deaths.put,
        planner=planner,
        run_env=folder / "run.env",
    )
    try:
        stack.start()
        console.say(banner(stack, seconds=time.monotonic() - started))
        dead = deaths.get()
        console.say(f"error: {dead.name} ended by itself with {explain(dead.exit_code)}")
        return 1
    except StopRequested:
        console.say("Stopping …")
        return 0
    finally:
        stop(stack)


def stop(stack: Stack) -> None:
    """Stop in order; a second Ctrl-C ends it at once, and the kernel ends the children."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: os._exit(1))
    stack.stop()
    (stack.folder / "run.env").unlink(missing_ok=True)


def address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Read HOST and PORT. Raises LaunchError if they are malformed or taken."""
    host = environ.get("HOST") or "127.0.0.1"
    text = environ.get("PORT") or str(DEFAULT_PORT)
    if not text.isdecimal() or not 0 < int(text) < 65_536:
        raise LaunchError(f"PORT must be a number from 1 to 65535, not {text!r}")
    port = int(text)
    deadline = time.monotonic() + PORT_PATIENCE_S
    try:
        while not is_free(port, host):
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"port {port} on {host} is taken by another program. "
                    f"Stop that one, or choose another port: make run PORT={port + 1}"
                )
            time.sleep(0.05)
    except OSError as error:
        raise LaunchError(f"HOST={host} is no address of this machine: {error}") from error
    return host, port


def banner(stack: Stack, *, seconds: float) -> str:
    """Return the text that says where everything is and how to log in."""
    site = stack.site
    places = {
        "site": stack.url,
        "docs": f"{stack.url}/docs/",
        "admin": f"{stack.url}/admin/",
    }
    if site.has_stripe_sandbox:
        places["sandbox Stripe"] = site.stripe_url
    if site.has_upstream_sandbox:
        places["sandbox upstream"] = site.upstream_url
    if site.has_mail_sandbox:
        places["sandbox mailbox"] = site.mail_url
    lines = ["", f"TokenProxy is ready, after {seconds:.1f} s.", ""]
    lines += [f"  {name:<17} {url}" for name, url in places.items()]
    lines += ["", *(f"  {line}" for line in stack.seed_output.splitlines()), ""]
    lines += ["  Ctrl-C stops it. `.venv/bin/python manage.py …` works in another shell.", ""]
    return "\n".join(lines)


def explain(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return f"signal {signal.Signals(-code).name}"
    return f"code {code}"


@contextlib.contextmanager
def stop_signals_raise() -> Iterator[None]:
    """Raise StopRequested in the main thread on Ctrl-C, SIGTERM or a closed terminal."""
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    for number in STOP_SIGNALS:
        # A launcher under nohup is meant to outlive its terminal.
        if number != signal.SIGHUP or before[number] != signal.SIG_IGN:
            signal.signal(number, raise_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def raise_stop(_number: int, _frame: FrameType | None) -> None:
    raise StopRequested


def end_with_parent() -> None:
    """Ask for SIGTERM when the process that started us is gone: `make`, when it is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
