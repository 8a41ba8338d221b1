"""Children that are not the product: they serve, wait, note or fail, as their argument says."""

import http.server
import os
import signal
import sys
from pathlib import Path

from devstack.plan import Command, Plan
from devstack.site import Site


class Ready(http.server.BaseHTTPRequestHandler):
    """200 to everything."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the tests read what the launcher prints."""


def serve(port: str) -> None:
    note("web")
    print("serving", flush=True)
    http.server.HTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()


def wait(name: str) -> None:
    note(name)
    signal.pause()


def fail(code: str) -> None:
    print("this is why", flush=True)
    raise SystemExit(int(code))


def greet(whom: str) -> None:
    print(f"login: {whom}", flush=True)


def note(name: str) -> None:
    """Leave the process id for the test once it may be told to stop, and a word when it is."""
    folder = Path(os.environ["STANDIN_FOLDER"])

    def leave(*_: object) -> None:
        with (folder / "stopped").open("a") as file:
            file.write(f"{name}\n")
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    # Two of one name may start at once.
    unfinished = folder / f"{name}.pid.{os.getpid()}"
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(folder / f"{name}.pid")


def stand_in(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.devstack.standin", *arguments]


def plan(site: Site) -> Plan:
    """A product of stand-ins. STANDIN_SETUP replaces what runs before anything serves."""
    port = site.web_ports[0]
    setup = os.environ.get("STANDIN_SETUP", "greet nobody").split()
    return Plan(
        sandboxes=[Command("sandbox", stand_in("wait", "sandbox"))],
        setup=[Command("setup", stand_in(*setup))],
        seed=Command("seed", stand_in("greet", "demo@example.com")),
        web=[Command("web", stand_in("serve", str(port)), port=port)],
        background=[Command("worker", stand_in("wait", "worker"))],
    )


if __name__ == "__main__":
    {"serve": serve, "wait": wait, "fail": fail, "greet": greet}[sys.argv[1]](sys.argv[2])
