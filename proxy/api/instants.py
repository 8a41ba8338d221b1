"""How our own endpoints write instants."""

from datetime import datetime
from typing import overload


@overload
def instant(at: datetime) -> str: ...
@overload
def instant(at: None) -> None: ...
def instant(at: datetime | None) -> str | None:
    """Write an instant as ISO 8601 in UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds") if at else None
