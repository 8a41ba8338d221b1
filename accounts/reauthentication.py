"""Ask for the password again before what a stranger at an open browser must not do.

A log-in or sign-up counts as the answer for ACCOUNT_REAUTHENTICATION_TIMEOUT seconds. allauth keeps
a later POST in the session and carries it out once the password is right.
"""

import time
from typing import cast

from allauth.account import app_settings
from allauth.account.internal.flows.reauthentication import (
    STATE_SESSION_KEY,
    is_reauthentication_required,
    suspend_request,
)
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext

SIGNED_IN_AT = "signed_in_at"


def note_signed_in(request: HttpRequest) -> None:
    """Remember when this browser signed in."""
    request.session[SIGNED_IN_AT] = time.time()


def has_just_signed_in(request: HttpRequest) -> bool:
    """Return whether this browser signed in within the re-authentication time-out."""
    signed_in_at = float(request.session.get(SIGNED_IN_AT, 0))
    return time.time() - signed_in_at < float(app_settings.REAUTHENTICATION_TIMEOUT)


def must_ask_again(request: HttpRequest) -> bool:
    """Return whether the password has to be entered before something sensitive."""
    return bool(is_reauthentication_required(request, app="accounts"))


def ask_staff(request: HttpRequest) -> HttpResponse | None:
    """Lead staff to the page that asks for the password, if they have to enter it again.

    A form that was sent is not kept meanwhile: it may hold a secret.
    """
    if not must_ask_again(request):
        return None
    if request.method == "POST":
        messages.warning(
            request, gettext("Nothing was done yet: enter your password, and do it again.")
        )
    query = urlencode({"next": request.get_full_path()})
    return redirect(f"{reverse('account_reauthenticate')}?{query}")


def ask_again(request: HttpRequest) -> HttpResponse:
    """Lead to the page that asks for the password, and from there on with this request."""
    # A POST that was given up must not be carried out when its page is merely opened later.
    request.session.pop(STATE_SESSION_KEY, None)
    # Without htmx's headers, the kept request is answered by a whole page.
    for name in [name for name in request.META if name.startswith("HTTP_HX_")]:
        del request.META[name]
    return cast(HttpResponse, suspend_request(request, reverse("account_reauthenticate")))
