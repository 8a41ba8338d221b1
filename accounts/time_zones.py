"""In whose time a person reads: the zone that they chose, else the browser's, else UTC."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.http import HttpRequest

from accounts.models import User

# `zone.js` writes what the browser says into it.
COOKIE = "time_zone"
UTC = ZoneInfo("UTC")


@cache
def zone_names() -> tuple[str, ...]:
    """Return the names that a person chooses from, such as Europe/Berlin."""
    return ("UTC", *sorted(name for name in available_timezones() if _is_of_a_place(name)))


def _is_of_a_place(name: str) -> bool:
    # The others are abbreviations, and names that are kept for old programs.
    return "/" in name and not name.startswith(("Etc/", "SystemV/", "US/", "posix/", "right/"))


def zone_of(request: HttpRequest) -> ZoneInfo:
    """Return the zone in which to show times to whoever asks."""
    chosen = request.user.time_zone if isinstance(request.user, User) else ""
    for name in (chosen, request.COOKIES.get(COOKIE, "")):
        if name in zone_names():
            return ZoneInfo(name)
    return UTC
