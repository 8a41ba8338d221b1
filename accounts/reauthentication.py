"""Ask who it is once more, before something that a stranger at an open browser must not do.

A log-in or sign-up counts as the answer for ACCOUNT_REAUTHENTICATION_TIMEOUT seconds. allauth keeps
a POST that came too late in the session and does it once the password is right.
"""

import time
from typing import cast

from allauth.account import app_settings
from allauth.account.internal.flows.reauthentication import (
    STATE_SESSION_KEY,
    is_reauthentication_required,
    suspend_request,
)
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

SIGNED_IN_AT = "signed_in_at"


def note_signed_in(request: HttpRequest) -> None:
    """Remember when this browser signed in."""
    request.session[SIGNED_IN_AT] = time.time()


def has_just_signed_in(request: HttpRequest) -> bool:
    """Tell whether this browser signed in a moment ago."""
    signed_in_at = float(request.session.get(SIGNED_IN_AT, 0))
    return time.time() - signed_in_at < float(app_settings.REAUTHENTICATION_TIMEOUT)


def must_ask_again(request: HttpRequest) -> bool:
    """Tell whether the password has to be entered before something sensitive."""
    return bool(is_reauthentication_required(request, app="accounts"))


def ask_again(request: HttpRequest) -> HttpResponse:
    """Lead to the page that asks for the password, and from there to where this request went."""
    # A POST that was given up must not be done by whoever later only opens its page.
    request.session.pop(STATE_SESSION_KEY, None)
    # What is kept of a request of htmx is answered by a whole page.
    for name in [name for name in request.META if name.startswith("HTTP_HX_")]:
        del request.META[name]
    return cast(HttpResponse, suspend_request(request, reverse("account_reauthenticate")))
