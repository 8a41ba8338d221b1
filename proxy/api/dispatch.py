"""What all views of the API share: DRF's views, dispatched without leaving the event loop.

DRF's own dispatch awaits nothing and negotiates what is fixed here: JSON in, JSON out. Its hooks
are kept: parsers, authenticators, permissions, the exception handler.
"""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from billing.exceptions import RateLimited, WalletError, WalletRecovering
from proxy.api.authentication import authenticate, check_network, is_from_allowed_network
from proxy.api.error_table import to_api_error, to_response
from proxy.api.handler import ApiRequest
from proxy.errors import MethodNotAllowed, UnsupportedMediaType, is_client_gone
from proxy.http.connection import ClientConnection
from proxy.parsing import jsonbody
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime
from proxy.serving.standing import Standing, find_standing

JSON = "application/json"


class StrictJsonParser(BaseParser):
    """Parses JSON bodies, and refuses every other kind."""

    media_type = JSON

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        """Return the body as an object. Raises InvalidRequest, UnsupportedMediaType."""
        check_media_type(media_type or "", stream.headers.get("content-encoding", ""))
        return jsonbody.parse(stream.body)


class JsonRenderer(BaseRenderer):
    """Writes JSON, compactly."""

    media_type = JSON
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        """Return the data as JSON."""
        return orjson.dumps(data)


class FixedNegotiation(BaseContentNegotiation):
    """Takes the one parser and the one renderer, whatever the client would accept."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser, which checks the media type itself."""
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the renderer: errors are JSON even where a browser asks."""
        return renderers[0], JSON


class KeyAuthentication(BaseAuthentication):
    """Names the scheme in DRF's terms; the key itself is found by `ApiView.find_key`."""

    def authenticate(self, request: Request) -> None:
        """Leave it to the coroutine: a look-up may have to wait."""

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401."""
        return "Bearer"


class ApiView(APIView):
    """A view of the API. Its methods are coroutines; `key` is who calls."""

    parser_classes = (StrictJsonParser,)
    renderer_classes = (JsonRenderer,)
    authentication_classes = (KeyAuthentication,)
    permission_classes = ()
    content_negotiation_class = FixedNegotiation
    connection: ClientConnection
    runtime: Runtime
    key: KeyFacts
    # A hold is refused if its key was changed meanwhile. Views that place none must ask.
    places_hold = False
    standing: Standing | None = None

    async def dispatch(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Authenticate, check permissions, call the method's handler, and answer its errors."""
        if not isinstance(request, ApiRequest):
            raise TypeError("the API is served by its own handler")
        self.connection, self.runtime = request.connection, request.runtime
        self.request = self.initialize_request(request)
        try:
            handler = self.find_handler(request.method or "")
            await self.find_key()
            self.check_permissions(self.request)
            response: HttpResponseBase = await handler(self.request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # DRF's hook decides about every error
            return self.handle_exception(error)
        return response

    def find_handler(self, method: str) -> Callable[..., Awaitable[HttpResponseBase]]:
        """Return the coroutine of a method. Raises MethodNotAllowed."""
        name = "get" if method == "HEAD" else method.lower()
        if name not in self.http_method_names or not hasattr(self, name):
            raise MethodNotAllowed(method, allowed=", ".join(self.allowed_methods))
        handler: Callable[..., Awaitable[HttpResponseBase]] = getattr(self, name)
        return handler

    async def find_key(self) -> None:
        """Set `key`, and `request.auth` to the same.

        Raises AuthenticationFailed, NetworkRefused, RateLimited.
        """
        authorization = self.request.META.get("HTTP_AUTHORIZATION", "")
        self.key = await authenticate(authorization, self.runtime.keys)
        # Nobody is refused either by what was known of the key seconds ago.
        if not self.places_hold or not is_from_allowed_network(self.key, self.connection):
            await self._find_standing()
        check_network(self.key, self.connection)
        self.request.auth = self.key

    def get_standing(self) -> Standing:
        """Return where the key stands. Raises WalletRecovering if Redis did not say."""
        if self.standing is None:
            raise WalletRecovering("Redis did not say where the key stands.")
        return self.standing

    async def _find_standing(self) -> None:
        try:
            self.standing = await find_standing(self.runtime, self.connection, self.key)
        except RateLimited:
            raise
        except WalletError:
            # What needs no figures is served by what was known of the key, seconds ago.
            return
        self.key = self.standing.key

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Answer an error in the envelope. What the handler alone can deal with is raised."""
        if self.connection.has_started or is_client_gone(exc):
            raise exc
        return to_response(to_api_error(exc))

    async def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """Say which methods there are. No other site's pages may call: keys are for programs."""
        allowed = {"Allow": ", ".join(self.allowed_methods)}
        return HttpResponse(status=204, content_type=JSON, headers=allowed)


def body_of(request: Request) -> dict[str, Any]:
    """Return the parsed body. Raises InvalidRequest, UnsupportedMediaType."""
    # DRF's type allows for lists, which the parser refuses.
    return cast("dict[str, Any]", request.data)


def render(data: Any) -> HttpResponse:
    """Answer with JSON."""
    return HttpResponse(orjson.dumps(data), content_type=JSON)


def check_media_type(media_type: str, encoding: str) -> None:
    """Accept JSON, and a body of no type. Raises UnsupportedMediaType."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in {"", JSON} and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"The body must be JSON: send Content-Type: {JSON}.")
    if encoding not in {"", "identity"}:
        raise UnsupportedMediaType("The body must not be compressed.")
