"""Errors to Sentry, where SENTRY_DSN is set: what failed and where, and nothing of whom or of what.

An event is made here from what is allowed, and Sentry's own collectors are off. So it has no
message of an exception, no value of a variable or of a log line, no header, address or body: each
of these may hold a key, a prompt or a customer's address. It names the line of the log to look for.
"""

import re
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import sentry_sdk
import structlog
from django.core.exceptions import ImproperlyConfigured
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn, Dsn

ERRORS = {"error", "critical"}
# What our own lines are called; a library's line may be any text.
NAME = re.compile(r"[a-z][a-z0-9_]{2,60}")
REQUEST = re.compile(r"[a-z]+_[0-9a-f]{32}")
# What the SDK adds of itself, and what is made here.
ALLOWED = {
    *("event_id", "timestamp", "platform", "level", "logger", "message", "exception", "tags"),
    *("release", "environment", "sdk"),
}
LONGEST_CHAIN = 5


def start_reporting(dsn: str) -> None:
    """Send errors that are logged from now on. Sending is done in a thread of its own.

    Raises ImproperlyConfigured.
    """
    try:
        Dsn(dsn)
    except BadDsn as error:
        raise ImproperlyConfigured("The setting SENTRY_DSN is no address of Sentry's.") from error
    sentry_sdk.init(
        dsn=dsn,
        default_integrations=False,
        auto_enabling_integrations=False,
        max_breadcrumbs=0,
        send_default_pii=False,
        auto_session_tracking=False,
        include_source_context=False,
        include_local_variables=False,
        before_send=_only_allowed,
    )


def report(_: Any, __: str, line: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Pass a line of the log on, and report it if it is an error. For structlog's processors.

    Until reporting is started it does nothing.
    """
    if line.get("level") in ERRORS and sentry_sdk.is_initialized():
        sentry_sdk.capture_event(describe(line))
    return line


def describe(line: structlog.typing.EventDict) -> Event:
    """Return what is sent of a line of the log."""
    said = str(line.get("event", ""))
    request_id = str(line.get("request_id", ""))
    event: Event = {
        "level": "fatal" if line["level"] == "critical" else "error",
        "logger": str(line.get("logger", "")),
        "message": said if NAME.fullmatch(said) else "a line of a library",
        "tags": {"request_id": request_id} if REQUEST.fullmatch(request_id) else {},
    }
    if error := _error_of(line.get("exc_info")):
        # The one that was raised last comes last.
        event["exception"] = {"values": [_describe(each) for each in reversed(list(_chain(error)))]}
    return event


def _error_of(given: Any) -> BaseException | None:
    """Return the exception of a line, in any of the forms in which it may name one."""
    if given is True:
        given = sys.exc_info()
    if isinstance(given, tuple):
        given = given[1]
    return given if isinstance(given, BaseException) else None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(LONGEST_CHAIN):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _describe(error: BaseException) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "module": type(error).__module__,
        "stacktrace": {"frames": list(_frames(error.__traceback__))},
    }


def _frames(trace: TracebackType | None) -> Iterator[dict[str, Any]]:
    for frame, line in traceback.walk_tb(trace):
        code = frame.f_code
        yield {
            "filename": code.co_filename,
            "function": code.co_name,
            "lineno": line,
            "module": frame.f_globals.get("__name__", ""),
        }


def _only_allowed(event: Event, _: Hint) -> Event:
    """Drop what the SDK added of its own accord, such as the name of the machine."""
    kept: Event = {name: value for name, value in event.items() if name in ALLOWED}  # type: ignore[assignment]
    return kept
