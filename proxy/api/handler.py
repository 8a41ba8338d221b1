"""The ASGI application of /v1/: Django's requests, URLs and responses, and nothing else of it.

It uses no middleware, thread, cookie or signal. A request's body is read by its view, once its key
is known. Every error, on every path, is answered in the envelope of `proxy.api.error_table`.
"""

from collections.abc import Callable
from functools import cached_property
from io import BytesIO

from django.contrib.auth.models import AnonymousUser
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpResponse, HttpResponseBase
from django.urls import Resolver404, ResolverMatch, get_resolver
from rest_framework.request import Request

from common.request_lines import note_request
from proxy.api.error_table import to_api_error, to_response
from proxy.api.misplaced import find_hint
from proxy.errors import InvalidRequest, PathNotFound, is_client_gone
from proxy.http.connection import ClientConnection, Receive, Scope, Send
from proxy.http.cors import preflight_headers
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime

URLS = "proxy.urls"


class ApiRequest(Request):
    """DRF's request, with its client's connection and the process' runtime.

    Its view reads the body. Django's own request is made for who asks for it, since to take all
    headers apart costs more than the rest of a view.
    """

    # The caller is a key; no person is signed in.
    user = AnonymousUser()
    auth: KeyFacts | None = None

    # DRF's wants a request of Django's, and what its own dispatch uses.
    def __init__(self, scope: Scope, connection: ClientConnection, runtime: Runtime) -> None:
        self.connection = connection
        self.runtime = runtime
        self.method: str = scope["method"]
        self.path_info: str = scope["path"]
        # Django refuses it, too.
        scope["query_string"].decode()

    @cached_property
    def _request(self) -> ASGIRequest:  # type: ignore[override]  # an attribute there
        return ASGIRequest(self.connection.scope, BytesIO())


class ApiHandler:
    """Serves /v1/ with the runtime that `get_runtime` gives."""

    def __init__(self, get_runtime: Callable[[], Runtime]) -> None:
        self._get_runtime = get_runtime
        self._resolver = get_resolver(URLS)
        # Those of paths without parts that differ, of which there are as many as routes.
        self._known: dict[str, ResolverMatch] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        connection = ClientConnection(scope, receive, send)
        note_request(scope, request_id=connection.request_id)
        try:
            response = await self._respond(scope, connection)
            if response is not None:
                await connection.respond(response)
        finally:
            connection.close()

    async def _respond(self, scope: Scope, connection: ClientConnection) -> HttpResponseBase | None:
        """Return the answer to a request, or None if the client is gone."""
        if scope["method"] == "OPTIONS":
            # A browser asks before a page may call, without a key and of any path.
            return HttpResponse(status=204, headers=preflight_headers(scope["headers"]))
        try:
            return await self._call_view(self._make_request(scope, connection))
        except Exception as error:  # noqa: BLE001  # the envelope is for every error there is
            if is_client_gone(error) or connection.has_started:
                return None
            told = to_api_error(error)
            note_request(scope, error=told.code or told.type)
            return to_response(told)

    def _make_request(self, scope: Scope, connection: ClientConnection) -> ApiRequest:
        try:
            return ApiRequest(scope, connection, self._get_runtime())
        except UnicodeDecodeError:
            raise InvalidRequest("The URL is not valid UTF-8.") from None

    def _find(self, path: str) -> ResolverMatch:
        """Return the view of a path. Raises Resolver404."""
        # No name and no id has a NUL, which PostgreSQL does not take.
        match = self._resolver.resolve(path if "\0" not in path else "")
        if not match.kwargs:
            self._known[path] = match
        return match

    async def _call_view(self, request: ApiRequest) -> HttpResponseBase:
        path = request.path_info
        try:
            match = self._known.get(path) or self._find(path)
        except Resolver404:
            raise PathNotFound(request.method or "", path, find_hint(path)) from None
        request.resolver_match = match
        note_request(request.connection.scope, route=match.route)
        response: HttpResponseBase = await match.func(request, *match.args, **match.kwargs)
        return response
