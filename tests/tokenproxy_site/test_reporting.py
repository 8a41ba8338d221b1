"""Errors are reported with where they happened, and nothing that a customer or a secret is in."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tokenproxy_site.collector import Collector, collecting

ROOT = Path(__file__).parents[2]
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


@pytest.fixture
def sentry() -> Iterator[Collector]:
    with collecting() as server:
        yield server


def dsn_of(sentry: Collector) -> str:
    return f"http://public@127.0.0.1:{sentry.server_port}/1"


def events_of(sentry: Collector) -> list[dict[str, Any]]:
    """Return the events, each of which comes in an envelope of three lines."""
    return [json.loads(heard.splitlines()[2]) for heard in sentry.heard]


def run(code: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        env={**os.environ, "LOG_FORMAT": "json", **settings},
        capture_output=True,
        text=True,
        check=True,
    )


def test_an_event_says_what_failed_and_where_and_nothing_else(sentry: Collector) -> None:
    run(FAILS, *SECRETS, SENTRY_DSN=dsn_of(sentry))

    heard = b"".join(sentry.heard).decode()
    assert [secret for secret in SECRETS if secret in heard] == []
    events = {event["logger"]: event for event in events_of(sentry)}
    first = next(event for event in events_of(sentry) if event["message"] == "call_failed")
    assert len(events_of(sentry)) == 3
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
