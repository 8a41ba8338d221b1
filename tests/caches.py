"""A cache that is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devstack.ports import free_port


@contextmanager
def cache_away(settings: Any) -> Iterator[None]:
    """Let the cache be looked for where nothing listens."""
    there = settings.CACHES
    settings.CACHES = {
        "default": there["default"] | {"LOCATION": f"redis://127.0.0.1:{free_port()}"}
    }
    yield
    settings.CACHES = there
