"""Whom an address leads to."""

from urllib.parse import urlsplit


def origin_of(base_url: str) -> str:
    """Return whom a base URL that was checked leads to: its scheme, host and port, spelled out."""
    parts = urlsplit(base_url.strip())
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
