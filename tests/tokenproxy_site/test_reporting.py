"""Errors are reported with where they happened, and nothing that a customer or a secret is in."""

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

ROOT = Path(__file__).parents[2]
UNPACK: dict[str | None, Callable[[bytes], bytes]] = {
    None: bytes,
    "gzip": gzip.decompress,
    "br": brotli.decompress,
}
SECRETS = ("sk-tp-0123456789abcdef", "Tell me a secret", "alice@example.com", "203.0.113.7")
# Every way in which what nobody may see could come into an event.
FAILS = """
import logging, os, sys
import django
django.setup()
import structlog
from django.conf import settings
from tokenproxy_site.logs import begin_to_report, complain_in_lines
complain_in_lines()
begin_to_report()
key, prompt, mail, address = sys.argv[1:]

def fail(prompt):
    local = {"key": key}
    try:
        raise KeyError(f"{key} {prompt}")
    except KeyError as error:
        raise ValueError(f"{mail} from {address}") from error

log = structlog.get_logger("proxy.serving")
try:
    fail(prompt)
except ValueError:
    log.exception("call_failed", prompt=prompt, secret=key, request_id="req_" + "a" * 32)
log.error(f"No such address: {mail}", request_id=mail)
log.warning("only_a_warning", address=address)
try:
    fail(prompt)
except ValueError as error:
    logging.getLogger("django.request").error("Failed: %s", prompt, exc_info=error,
        extra={"status_code": 500, "mail": mail})
import sentry_sdk
sentry_sdk.flush(20)
"""


class Sentry(ThreadingHTTPServer):
    """Takes what is sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Ear)
        self.heard: list[bytes] = []

    @property
    def dsn(self) -> str:
        return f"http://public@127.0.0.1:{self.server_port}/1"

    def events(self) -> list[dict[str, Any]]:
        """Return the events, each of which comes in an envelope of three lines."""
        return [json.loads(heard.splitlines()[2]) for heard in self.heard]


class Ear(BaseHTTPRequestHandler):
    server: Sentry

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.heard.append(UNPACK[self.headers.get("content-encoding")](body))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sentry() -> Iterator[Sentry]:
    with Sentry() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run(code: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json", **settings},
        capture_output=True,
        text=True,
        check=True,
    )


def test_an_event_says_what_failed_and_where_and_nothing_else(sentry: Sentry) -> None:
    run(FAILS, *SECRETS, SENTRY_DSN=sentry.dsn)

    heard = b"".join(sentry.heard).decode()
    assert [secret for secret in SECRETS if secret in heard] == []
    events = {event["logger"]: event for event in sentry.events()}
    first = next(event for event in sentry.events() if event["message"] == "call_failed")
    assert len(sentry.events()) == 3
    assert events["django.request"]["message"] == "a line of a library"
    assert first["tags"] == {"request_id": "req_" + "a" * 32}
    kinds = [value["type"] for value in first["exception"]["values"]]
    assert kinds == ["KeyError", "ValueError"]
    assert first["exception"]["values"][-1]["stacktrace"]["frames"][-1]["function"] == "fail"


def test_nothing_of_sentry_is_loaded_where_it_is_not_configured() -> None:
    code = "import django, sys; django.setup(); print('sentry_sdk' in sys.modules)"

    assert run(code, SENTRY_DSN="").stdout.strip() == "False"


def test_an_address_that_is_none_stops_the_process_with_its_name() -> None:
    code = "import django; django.setup(); from tokenproxy_site import logs; logs.begin_to_report()"

    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(code, SENTRY_DSN="nowhere")

    assert "The setting SENTRY_DSN" in failed.value.stderr
