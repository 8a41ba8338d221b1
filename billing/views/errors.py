"""Error pages that Django's own views would show without the site's name.

`server_error` must work when nothing else does.
"""

import sys

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.translation import gettext

from accounts.rate_limits import seconds_to_wait
from billing.exceptions import WalletRecovering

# What is raised while PostgreSQL or Redis is away, hangs, or is being rebuilt.
AWAY = (
    OperationalError,
    InterfaceError,
    WalletRecovering,
    redis.ConnectionError,
    redis.TimeoutError,
)
RETRY_AFTER_S = 5


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that makes no sense."""
    return render(request, "400.html", status=400)


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Answer who tries a form of the account pages too often, and say how long to wait."""
    seconds = seconds_to_wait(request)
    wait = (
        gettext("{seconds} seconds").format(seconds=seconds)
        if seconds < 120
        else gettext("{seconds_60} minutes").format(seconds_60=-(-seconds // 60))
    )
    answer = render(request, "429.html", {"wait": wait}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer when we failed, or when a server that we need is away.

    No context processor runs, because one of them may have failed. Django calls this while it
    handles the exception.
    """
    is_away = isinstance(sys.exc_info()[1], AWAY)
    status = 503 if is_away else 500
    answer = HttpResponse(
        render_to_string(
            f"{status}.html",
            {"site_name": settings.SITE_NAME, "support_email": settings.SUPPORT_EMAIL},
        ),
        status=status,
    )
    if is_away:
        answer["Retry-After"] = str(RETRY_AFTER_S)
    return answer
