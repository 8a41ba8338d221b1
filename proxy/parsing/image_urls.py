"""Check where an image comes from. The provider fetches a URL, from wherever it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from common.addresses import is_public_host
from proxy.parsing.schema import fail

DATA = "data:"
SCHEMES = ("https://", "http://", DATA)
# Far above any signed URL; what is longer would be kept in caches of parsed URLs.
MAX_URL_CHARS = 8_192
DETAILS = frozenset({"auto", "low", "high", "original"})
# Parsers disagree on which part of an authority with these is the host.
_AMBIGUOUS = re.compile(r"[\\@\s\x00-\x1f\x7f]")


def check_image_url(url: str, where: str) -> None:
    """Refuse a URL that is neither data nor at a public host. Raises InvalidRequest."""
    if not url.startswith(SCHEMES):
        fail(f"'{where}' must be an http(s) or data URL.", where, "invalid_value")
    if url.startswith(DATA):
        return
    if len(url) > MAX_URL_CHARS:
        fail(
            f"'{where}' must have at most {MAX_URL_CHARS} characters, or be a data URL.",
            where,
            "invalid_value",
        )
    if not _is_public(url):
        fail(
            f"'{where}' must not lead to a private, local or internal host.",
            where,
            "invalid_value",
        )


def find_remote_image(body: Mapping[str, Any]) -> str | None:
    """Return where the first image of a checked body is that is no data URL; None if all are."""
    for name in ("messages", "input"):
        items = body.get(name)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            for field in ("content", "output") if isinstance(item, dict) else ():
                at = _find_remote_part(item.get(field))
                if at is not None:
                    return f"{name}[{index}].{field}[{at}].image_url"
    return None


def _find_remote_part(parts: object) -> int | None:
    for index, part in enumerate(parts if isinstance(parts, list) else ()):
        image = part.get("image_url")
        url = image["url"] if isinstance(image, dict) else image
        if isinstance(url, str) and not url.startswith(DATA):
            return index
    return None


def check_detail(detail: str, where: str) -> None:
    """Refuse a level of detail that the specification lacks."""
    if (detail or "auto") not in DETAILS:
        fail(f"'{where}' must be 'auto', 'low', 'high' or 'original'.", where, "invalid_value")


def _is_public(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return bool(host) and not _AMBIGUOUS.search(parts.netloc) and is_public_host(host or "")
