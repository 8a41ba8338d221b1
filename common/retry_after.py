"""How long an answer asks to wait."""

import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

# Nobody asks for longer.
MOST_S = 86_400.0


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, written in any of the usual ways.

    At most a day. None if it asks for nothing, or for what can't be read. `headers` finds names in
    lower case.
    """
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name, "").strip()
        if not text:
            continue
        seconds = _read_number(text)
        if seconds is not None:
            return min(seconds * unit_s, MOST_S)
        if unit_s == 1.0:
            return _read_instant(text)
    return None


def _read_number(text: str) -> float | None:
    is_number = text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 16
    return float(text) if is_number else None


def _read_instant(text: str) -> float | None:
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    # A date without a zone is in GMT (RFC 9110).
    at = instant.replace(tzinfo=instant.tzinfo or UTC).timestamp()
    return min(max(at - time.time(), 0.0), MOST_S)
