"""Structured logs: one line per event, JSON for machines or text for people.

Prompts, answers, secrets and upstream addresses are never logged.
"""

import logging
import sys
import threading
from types import TracebackType
from typing import Any

import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from tokenproxy_site.page_lines import route_of

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class WithoutProbes(logging.Filter):
    """Drops log records about the probes: a 503 there is an answer, not an error."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = str(record.msg) + str(record.args)
        return not any(probe in said for probe in ("/readyz", "/healthz", "/metrics"))


class ClientErrorsInOneLine(logging.Filter):
    """Logs what Django calls suspicious (a wrong host, a form too large) as a warning, untraced.

    Anybody can cause these at will, and a traceback would say nothing about our code.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


class WithoutPaths(logging.Filter):
    """Puts the pattern of a page's path in its place: a path may contain a link's secret."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        if isinstance(request, HttpRequest) and isinstance(record.args, tuple):
            paths = {request.path, request.get_full_path()}
            route = route_of(request) or "a path of no page"
            record.args = tuple(route if arg in paths else arg for arg in record.args)
        return True


def begin_to_report() -> None:
    """Report errors and send traces from now on, as configured. For processes that serve."""
    if settings.TRACES_URL:
        from tokenproxy_site.tracing import start_tracing

        start_tracing(settings.TRACES_URL, percent=settings.TRACES_PERCENT)
    if settings.SENTRY_DSN:
        from tokenproxy_site.reporting import start_reporting

        start_reporting(settings.SENTRY_DSN)


def complain_in_lines() -> None:
    """Have warnings, and errors that nobody catches, logged like everything else.

    For processes that serve, where a machine reads the log.
    """
    if settings.LOG_FORMAT != "json":
        return
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda uncaught: _log_uncaught(
        uncaught.exc_type, uncaught.exc_value, uncaught.exc_traceback
    )


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, trace: TracebackType | None
) -> None:
    if issubclass(kind, SystemExit | KeyboardInterrupt):
        return
    structlog.get_logger(__name__).critical("uncaught", exc_info=(kind, error, trace))


def configure_logging(form: str, level: str, *, reports: bool = False) -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING. `form` is console or json.

    With `reports`, errors go to Sentry, too, once a process that serves has started to report.
    """
    if form not in {"console", "json"}:
        raise ImproperlyConfigured("The setting LOG_FORMAT must be console or json.")
    if level not in LEVELS:
        raise ImproperlyConfigured(f"The setting LOG_LEVEL must be one of {', '.join(LEVELS)}.")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *_reporters(reports=reports),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "default": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processor": structlog.processors.JSONRenderer()
                if form == "json"
                else structlog.dev.ConsoleRenderer(colors=False),
                "foreign_pre_chain": shared,
            }
        },
        "filters": {
            "without_probes": {"()": WithoutProbes},
            "client_errors_in_one_line": {"()": ClientErrorsInOneLine},
            "without_paths": {"()": WithoutPaths},
        },
        "handlers": {
            "stderr": {
                "class": "common.log_lines.LineHandler",
                "formatter": "default",
                "filters": ["without_probes", "client_errors_in_one_line", "without_paths"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django.request": {"level": "ERROR"},
            "httpx": {"level": "WARNING"},
            # These would log two lines for each sweep, which would bury everything else.
            "celery.app.trace": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "stripe": {"level": "WARNING"},
            # These log a line for each table of each font of a statement.
            "fontTools": {"level": "WARNING"},
            "fpdf": {"level": "WARNING"},
        },
    }


def _reporters(*, reports: bool) -> list[Any]:
    if not reports:
        return []
    # Sentry's SDK takes memory and half a second, which nobody pays who does not use it.
    from tokenproxy_site.reporting import report

    return [report]
