"""Let pages of any site call the API with a key that they were given, and read its headers.

Nothing here depends on cookies, and none is sent: a page can do no more than any other program.
The site's own pages send none of these headers.
"""

import re
from collections.abc import Iterable

# Beside those that every page may read.
EXPOSED = (
    "openai-processing-ms",
    "retry-after",
    "retry-after-ms",
    "www-authenticate",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-request-id",
    "x-should-retry",
    "x-tokenproxy-credits-charged",
    "x-tokenproxy-ignored-fields",
    "x-tokenproxy-max-tokens",
    "x-tokenproxy-replay-of",
)
OF_EVERY_ANSWER = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", ", ".join(EXPOSED).encode()),
)
METHODS = "GET, HEAD, POST, OPTIONS"
# `*` would not stand for Authorization.
DEFAULT_HEADERS = "authorization, content-type, idempotency-key"
# How long a browser may remember the answer, in seconds; Chromium's limit is two hours.
MAX_AGE_S = 7_200
# A list of field names (RFC 9110, section 5.6.2), which is a caller's text until it is checked.
_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, -]{1,2000}")


def preflight_headers(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return what a browser asks for before a page may call: that it may, with any header."""
    asked = _find_header(headers, b"access-control-request-headers")
    return {
        "Allow": METHODS,
        "access-control-allow-methods": METHODS,
        "access-control-allow-headers": asked if _NAMES.fullmatch(asked) else DEFAULT_HEADERS,
        "access-control-max-age": str(MAX_AGE_S),
        "vary": "access-control-request-headers",
    }


def _find_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in headers if key == name), "")
