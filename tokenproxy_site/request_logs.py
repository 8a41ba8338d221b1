"""The log of page requests: who asked is left out where looking that up is what failed."""

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from django_structlog.middlewares import RequestMiddleware


class PageLogMiddleware(RequestMiddleware):
    """Logs each request to a page, with the id of who is logged in."""

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """Note who asks, unless PostgreSQL has just failed: it would be waited for once more."""
        if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
            RequestMiddleware.bind_user_id(request)
