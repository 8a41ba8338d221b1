"""Structured logs: one line per event, JSON for machines or text for people.

Prompts, answers, secrets and upstream addresses are never logged.
"""

import logging
from typing import Any

import structlog
from django.core.exceptions import ImproperlyConfigured

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


def configure_logging(form: str, level: str) -> dict[str, Any]:
    """Set structlog up and return Django's LOGGING. `form` is console or json."""
    if form not in {"console", "json"}:
        raise ImproperlyConfigured("The setting LOG_FORMAT must be console or json.")
    if level not in LEVELS:
        raise ImproperlyConfigured(f"The setting LOG_LEVEL must be one of {', '.join(LEVELS)}.")
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "default",
                "filters": ["without_probes", "client_errors_in_one_line"],
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
            "django_structlog": {"level": "WARNING"},
            "stripe": {"level": "WARNING"},
            # These log a line for each table of each font of a statement.
            "fontTools": {"level": "WARNING"},
            "fpdf": {"level": "WARNING"},
        },
    }
