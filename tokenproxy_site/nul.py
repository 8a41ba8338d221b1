"""Refuse a NUL wherever a request may bring one to the database, which does not take it.

Forms refuse it themselves. What does not go through a form is here: the path, the query, by which
lists are filtered, and cookies, of which one names the session.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

NUL = "\0"


class NulMiddleware:
    """Answers a request with a NUL in its address or cookies as one that makes no sense."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Refuse the request, or pass it on."""
        if (
            NUL in request.path_info
            or "%00" in request.META.get("QUERY_STRING", "")
            or any(NUL in value for value in request.COOKIES.values())
        ):
            # Plain, because the page of this error asks who is signed in, by a cookie.
            return HttpResponse("Bad request: it has a NUL.", status=400, content_type="text/plain")
        return self._get_response(request)
