"""The server that a URL leads to."""

from urllib.parse import urlsplit


def origin_of(base_url: str) -> str:
    """Return the scheme, host and port of a checked base URL, with the port spelled out."""
    parts = urlsplit(base_url.strip())
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
