"""One line of the log for each request, and what of it may be told.

Whoever learns something of a request notes it (`note_request`), and the line is written when its
answer has ended. Values are ids, names and codes of ours and numbers: no path, since those of pages
contain secrets, no header, no body, and nothing else that a stranger chooses.
"""

import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import orjson
import structlog
from django.conf import settings

from common.log_lines import STDERR
from common.tracing import add_values, span

# Where a request's scope keeps what its line tells.
LINE = "tokenproxy.line"

Scope = MutableMapping[str, Any]


class StderrLogger:
    """What structlog hands its finished lines to."""

    def msg(self, line: bytes | str) -> None:
        """Write a line."""
        STDERR.put(line if isinstance(line, bytes) else line.encode(errors="replace"))

    info = msg


@cache
def get_request_log() -> Any:
    """Return the logger of these lines: structlog's without the standard library's.

    At 8 µs a line that is a third of what every other line costs.
    """
    is_json = settings.LOG_FORMAT == "json"
    return structlog.wrap_logger(
        StderrLogger(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=orjson.dumps)
            if is_json
            else structlog.dev.ConsoleRenderer(colors=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.LOG_LEVEL),
        cache_logger_on_first_use=True,
    )


def note_request(scope: Scope, **facts: object) -> None:
    """Add to the line of a request. Nothing is told of one that has none, such as a probe."""
    line = scope.get(LINE)
    if line is not None:
        line.update(facts)


@contextmanager
def request_line(scope: Scope, *, surface: str, caller: str = "") -> Iterator[None]:
    """Write the line of the request in the block, once it ends. Its span has the same values.

    It is within the span of the `caller`, if that is the `traceparent` of one that is believed.
    A page's is left out if nothing was told of it: it was a probe or a static file.
    """
    started_at = time.perf_counter()
    line: dict[str, Any] = {"surface": surface, "method": scope["method"], "status": None}
    scope[LINE] = line
    known = len(line)
    try:
        with span(f"{surface} request", caller=caller) as traced:
            try:
                yield
            finally:
                add_values(traced, line)
    finally:
        if surface == "api" or len(line) > known:
            line["ms"] = round((time.perf_counter() - started_at) * 1_000)
            get_request_log().info("request", **line)
