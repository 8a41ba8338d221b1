"""What the log has of requests, and how the product writes a record."""

import logging
from collections.abc import Callable
from typing import Any

from common.log_lines import LineHandler

Lines = Callable[[], list[dict[str, Any]]]


def as_written(record: logging.LogRecord) -> str:
    """Return what the product's own handler would write of a record."""
    (handler,) = (h for h in logging.getLogger().handlers if isinstance(h, LineHandler))
    passed = handler.filter(record)
    return handler.format(record) if passed else ""
