"""The language of each page, and the switch at its foot.

The API does not come here: its calls never enter Django's middleware, and it speaks English.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from accounts.languages import is_offered, keep_language, language_of
from accounts.models import User
from accounts.teams.addressing import PREFIX


class LanguageMiddleware:
    """Writes each page in its reader's language, and the desk's in English."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response
        self._desk = reverse("admin:index")

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer in the language, and say that it depends on who asks."""
        if PREFIX.sub("", request.path_info).startswith(self._desk):
            with translation.override(settings.LANGUAGE_CODE):
                return self._get_response(request)
        with translation.override(language_of(request)):
            answer = self._get_response(request)
            if answer.headers["Content-Type"].startswith("text/html"):
                answer.headers.setdefault("Content-Language", translation.get_language() or "")
                patch_vary_headers(answer, ("Accept-Language", "Cookie"))
            return answer


@require_POST
def choose_language(request: HttpRequest) -> HttpResponse:
    """Keep a language in a cookie, and in the profile of who is signed in; go back to the page."""
    page = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(
        page, {request.get_host()}, require_https=request.is_secure()
    ):
        page = reverse("home")
    answer = HttpResponseRedirect(page)
    language = request.POST.get("language", "")
    if is_offered(language):
        _keep_cookie(answer, language)
        if isinstance(request.user, User):
            keep_language(request.user, language)
    return answer


def _keep_cookie(answer: HttpResponse, language: str) -> None:
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
