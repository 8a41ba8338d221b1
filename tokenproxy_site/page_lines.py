"""What a page tells of itself in the log: which one it is, and who asked."""

import uuid
from collections.abc import Callable
from typing import cast

import structlog
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase

from common.request_lines import Scope, note_request


class PageLineMiddleware:
    """Gives a page's request an id, which all its lines of the log have."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve a page, and tell of it."""
        request_id = f"page_{uuid.uuid4().hex}"
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self._get_response(request)
        if isinstance(request, ASGIRequest) and not request.path.startswith(settings.STATIC_URL):
            # Nobody who is signed in is looked up for this.
            user = getattr(request, "_cached_user", None)
            note_request(
                cast("Scope", request.scope),
                request_id=request_id,
                status=response.status_code,
                route=route_of(request),
                user_id=None if user is None else user.pk,
            )
        return response


def route_of(request: HttpRequest) -> str | None:
    """Return the pattern of a request's path. Paths themselves contain secrets."""
    match = request.resolver_match
    return None if match is None else match.route
