"""The base of the API's views: DRF's APIView, dispatched within the event loop.

DRF's own dispatch awaits nothing. This one awaits authentication and permissions, and uses DRF's
hooks for the renderer and the exception handler (`error_table.answer`). Bodies are read once the
key is known, and parsed by `proxy.parsing.jsonbody`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar, cast

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from billing.exceptions import WalletRecovering
from billing.keys.refusals import BY_MODEL
from common.request_lines import note_request
from proxy.api.authentication import Found, FromAllowedNetwork, KeyAuthentication, KeyStands
from proxy.api.handler import ApiRequest
from proxy.errors import MethodNotAllowed, ModelRefused, UnsupportedMediaType
from proxy.http.bodies import BodyReader
from proxy.http.connection import ClientConnection
from proxy.parsing import jsonbody
from proxy.parsing.jsonbody import OUTLINED_BYTES, SMALL_BYTES
from proxy.serving.keys import KeyFacts
from proxy.serving.runtime import Runtime
from proxy.serving.standing import Standing, check_running

JSON = "application/json"

R = TypeVar("R")


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
    """Takes the one renderer, whatever the Accept header says."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        """Return the renderer: errors are JSON even where a browser asks."""
        return renderers[0], JSON


class ApiView(APIView):
    """A view of the API. Its methods are coroutines."""

    renderer_classes = (JsonRenderer,)
    authentication_classes = (KeyAuthentication,)
    permission_classes: tuple[type[BasePermission], ...] = (KeyStands, FromAllowedNetwork)
    content_negotiation_class = FixedNegotiation
    # No URL has a format suffix.
    format_kwarg = None
    request: ApiRequest
    connection: ClientConnection
    runtime: Runtime
    # Whether the key is known and permitted.
    is_admitted = False
    # Whether the body is so large, or so wide, that its steps wait for their wallet's turn.
    is_heavy = False
    # What was sent, until the request has ended.
    body = b""
    # The body's reader, once it is read.
    reader: BodyReader | None = None
    # Whether Redis was asked where the key stands.
    has_asked = False
    # The key's standing; None until Redis has answered.
    standing: Standing | None = None
    # Once it is found, whether it is admitted or not.
    known_key: KeyFacts | None = None

    async def dispatch(  # type: ignore[override]  # DRF's is not a coroutine
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        """Authenticate, check permissions, call the method's handler, and answer its errors."""
        if not isinstance(request, ApiRequest):
            raise TypeError("the API is served by its own handler")
        self.connection, self.runtime = request.connection, request.runtime
        response: HttpResponseBase
        try:
            handler = self.find_handler(request.method or "")
            await self.admit()
            response = await handler(request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001  # DRF's hook decides about every error
            response = self.handle_exception(error)
            self.count_refusal(error, response)
            if self.is_admitted:
                self.note_refusal(response.status_code)
        finally:
            self.release_body()
            self.let_go()
        return self.render(response) if isinstance(response, Response) else response

    async def admit(self) -> None:
        """Authenticate the key and check its permissions. Raises what refuses it, as KeyPaused."""
        for authenticator in self.get_authenticators():
            found = await cast("Awaitable[Found]", authenticator.authenticate(self.request))
            self.request.user, self.request.auth = found
            key = self.known_key = found[1]
            note_request(self.connection.scope, api_key_id=key.api_key_id, wallet_id=key.wallet_id)
            check_running(key)
        for permission in self.get_permissions():
            await cast("Awaitable[bool]", permission.has_permission(self.request, self))
        self.is_admitted = True

    @property
    def key(self) -> KeyFacts:
        assert self.request.auth is not None  # noqa: S101  # views run once it is known
        return self.request.auth

    async def read_json(self) -> dict[str, Any]:
        """Read and parse the body. Raises as `read_as`."""
        return await self.read_as(lambda payload: payload)

    async def read_as(self, make: Callable[[dict[str, Any]], R]) -> R:
        """Read and parse the body, and return what is made of it, in the same step.

        Raises InvalidRequest, UnsupportedMediaType, ServerBusy.

        By now the key is known. A large body, and one of a key whose requests were refused lately,
        waits for the key's turn before it is read, so that no refusal is free.
        """
        header = self.connection.header
        check_media_type(header(b"content-type"), header(b"content-encoding"))
        if self.runtime.throttle.is_watched(self.key):
            await self.count_request()
        outline = jsonbody.Outline()

        async def look(part: bytes) -> None:
            await self.runtime.work.read(self.key.wallet_id, outline.add, part)

        self.reader = BodyReader(self.connection, self.runtime.bodies, self.key.wallet_id)
        self.body = body = await self.reader.read(
            settings.MAX_BODY_BYTES, before_large=self.count_request, check=look
        )
        self.is_heavy = len(body) > SMALL_BYTES or jsonbody.is_wide(body)
        if not self.is_heavy:
            return make(parse(body))
        known = outline if len(body) > OUTLINED_BYTES else None
        return await self.runtime.work.step(self.key.wallet_id, lambda: make(parse(body, known)))

    def release_body(self) -> None:
        """Give back the body's share of the process' memory: it was admitted or refused."""
        if self.reader is not None:
            self.reader.release()

    def let_go(self) -> None:
        """Let go of the body, and of what the view holds itself by.

        Python would find it in the end, and looks at all that is in use meanwhile to do so.
        """
        # Django's name for `get`, made with a reference to the view.
        vars(self).pop("head", None)
        self.body = b""

    async def count_request(self) -> None:
        """Take one of the key's requests per minute, for a view that counts them by its hold.

        Every other view's request was counted as an inquiry by its permissions.
        """

    def count_refusal(self, error: Exception, response: HttpResponseBase) -> None:
        """Count a refusal of a known key, for staff. What failed is told by its receipt."""
        if self.known_key is not None and 400 <= response.status_code < 500:
            told = cast("Response", response).data["error"]
            ended = BY_MODEL if isinstance(error, ModelRefused) else getattr(error, "ended", None)
            code = ended or str(told["code"] or told["type"])
            self.runtime.refusals.note(self.known_key, status=response.status_code, code=code)

    def note_refusal(self, status: int) -> None:
        """Note that a request was refused, for a view whose refusals are not counted otherwise."""

    def find_handler(self, method: str) -> Callable[..., Awaitable[HttpResponseBase]]:
        """Return the coroutine of a method. Raises MethodNotAllowed."""
        name = "get" if method == "HEAD" else method.lower()
        if name not in self.http_method_names or not hasattr(self, name):
            raise MethodNotAllowed(method, allowed=", ".join(self.allowed_methods))
        handler: Callable[..., Awaitable[HttpResponseBase]] = getattr(self, name)
        return handler

    def get_standing(self) -> Standing:
        """Return the key's standing. Raises WalletRecovering if Redis did not give it."""
        if self.standing is None:
            raise WalletRecovering("Redis did not say where the key stands.")
        return self.standing

    def render(self, response: Response) -> HttpResponse:
        """Render a response of a view or of the error table."""
        negotiated = self.perform_content_negotiation(self.request)
        response.accepted_renderer, response.accepted_media_type = negotiated
        response.renderer_context = self.get_renderer_context()  # type: ignore[attr-defined]
        rendered = cast("HttpResponse", response.render())
        # It has the response itself by now, and the view.
        response.renderer_context = {}  # type: ignore[attr-defined]
        return rendered

    def raise_uncaught_exception(self, exc: Exception) -> NoReturn:
        """Leave an error that no client is there to see to the handler.

        DRF's own version looks at a renderer first.
        """
        raise exc


def parse(body: bytes, outline: jsonbody.Outline | None = None) -> dict[str, Any]:
    """Return a body as an object; none that was sent counts as empty. Raises InvalidRequest."""
    if not body:
        return {}
    return jsonbody.parse(body, max_bytes=settings.MAX_BODY_BYTES, outline=outline)


def check_media_type(media_type: str, encoding: str) -> None:
    """Accept JSON, and a body of no type. Raises UnsupportedMediaType."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind not in {"", JSON} and not kind.endswith("+json"):
        raise UnsupportedMediaType(f"The body must be JSON: send Content-Type: {JSON}.")
    if encoding not in {"", "identity"}:
        raise UnsupportedMediaType("The body must not be compressed.")
