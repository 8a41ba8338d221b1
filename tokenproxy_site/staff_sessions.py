"""A session of staff ends hours after its start, however busy it is."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY, logout
from django.http import HttpRequest, HttpResponse

SINCE = "staff_since"


class StaffSessionMiddleware:
    """Logs staff out when their session is older than STAFF_SESSION_HOURS."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Serve the request, as a visitor's if the session is too old."""
        if SESSION_KEY in request.session and is_staff(request):
            since = float(request.session.setdefault(SINCE, time.time()))
            if time.time() - since > settings.STAFF_SESSION_HOURS * 3_600:
                logout(request)
        return self._get_response(request)


def is_staff(request: HttpRequest) -> bool:
    return bool(request.user.is_authenticated and request.user.is_staff)
