"""The ASGI application of the site: which handler serves what, and what is open meanwhile."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import orjson
import structlog
from django.conf import settings

from common.log_lines import STDERR
from common.request_lines import note_request, request_line
from common.waits import wait_for_pages
from proxy.api.handler import ApiHandler
from proxy.api.misplaced import is_for_api
from proxy.errors import ApiError, ClientLeft, HttpsRequired
from proxy.http.bodies import BodyBudget, BodyReader
from proxy.http.client_address import is_encrypted, trace_of_caller, with_client_address
from proxy.http.connection import ClientConnection, Message, Receive, Scope, Send
from proxy.http.refusals import refuse
from proxy.serving.runtime import Runtime
from tokenproxy_site import memory
from tokenproxy_site.health import READINESS
from tokenproxy_site.metrics.web import PROCESS, count_request, open_call

log = structlog.get_logger(__name__)

SITE_READY = "/readyz/site"
# Of all large forms that a process holds at once.
FORMS_BYTES = 32 * 1024 * 1024
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Application:
    """Routes requests; owns the API's runtime from the lifespan's start to its end."""

    def __init__(self, site: Callable[[Any, Any, Any], Any]) -> None:
        self._site = site
        self._api = ApiHandler(self.get_runtime)
        self._runtime: Runtime | None = None
        self._forms = BodyBudget(FORMS_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan of the process. Refuse everything else.

        Raises ValueError for an unknown kind of scope, as ASGI asks.
        """
        match scope["type"]:
            case "http":
                is_api = is_for_api(scope)
                surface = "api" if is_api else "site"
                with request_line(scope, surface=surface, caller=trace_of_caller(scope)):
                    await self._serve(scope, receive, counted(send, is_api=is_api), is_api=is_api)
            case "lifespan":
                await self._live(receive, send)
            case "websocket":
                await _refuse_websocket(receive, send)
            case other:
                raise ValueError(f"nothing is served over {other!r}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send, *, is_api: bool) -> None:
        if is_api:
            await self._serve_api(scope, receive, hardened(send))
        elif scope["path"] in READINESS and (why := self._why_unready(scope["path"])):
            await _say_unready(send, why)
        else:
            await self._serve_page(with_client_address(scope), receive, send)

    async def _serve_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a call, unless it came in the clear to a site that is reached by https.

        A redirect would be followed by the next call with the same key, in the clear again.
        """
        if settings.IS_HTTPS and not is_encrypted(scope):
            refusal = HttpsRequired(f"{settings.SITE_URL}/v1")
            note_request(scope, status=refusal.status, error=refusal.code)
            await refuse(send, refusal)
            return
        with open_call():
            await self._api(scope, receive, send)

    async def _serve_page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a page, once its form has come. Django would wait for one of any size for ever."""
        connection = ClientConnection(scope, receive, send)
        reader = BodyReader(connection, self._forms, (scope.get("client") or ("",))[0])
        try:
            if has_body(scope):
                form = await reader.read(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
                receive = replayed(form, receive)
            await self._site(scope, receive, send)
        except ApiError as error:
            note_request(scope, status=error.status, error=error.code or error.type)
            await refuse(send, error)
        except ClientLeft:
            return
        finally:
            reader.release()

    def get_runtime(self) -> Runtime:
        """Return what the API's requests share. Raises RuntimeError outside the lifespan."""
        if self._runtime is None:
            raise RuntimeError("the lifespan of the application has not begun")
        return self._runtime

    def _why_unready(self, path: str) -> str | None:
        """Return what keeps this process itself from serving; None if nothing does."""
        if self._runtime is None or self._runtime.is_draining:
            return "it is about to stop"
        if path != SITE_READY and not self._runtime.catalogue.is_read:
            return "it has not read the catalogue yet"
        return None

    async def _live(self, receive: Receive, send: Send) -> None:
        message: Message = await receive()
        wait_for_pages()
        try:
            self._runtime = await Runtime.start()
        except Exception as error:
            log.exception("web_process_not_started")
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        PROCESS.runtime = self._runtime
        memory.settle()
        self._listen_for_stop(self._runtime)
        await send({"type": "lifespan.startup.complete"})
        message = await receive()
        if message["type"] == "lifespan.shutdown":
            await self._runtime.stop()
            # uvicorn ends the process by a signal, past everything that Python does at its exit.
            STDERR.flush()
            await send({"type": "lifespan.shutdown.complete"})

    def _listen_for_stop(self, runtime: Runtime) -> None:
        """Handle stop signals at once: the server reports them only after the last stream."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in STOP_SIGNALS:
            signal.signal(number, _before(signal.getsignal(number), runtime.begin_drain))


def _before(handler: Any, first: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        first()
        if callable(handler):
            handler(number, frame)

    return handle


def has_body(scope: Scope) -> bool:
    """Tell whether a request announces a body."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def replayed(body: bytes, receive: Receive) -> Receive:
    """Give a body that was read as one message; then what comes after it."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again


def counted(send: Send, *, is_api: bool) -> Send:
    """Count the answer that begins here."""

    async def count_and_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            count_request(is_api=is_api, status=message["status"])
        await send(message)

    return count_and_send


def hardened(send: Send) -> Send:
    """Add what browsers are to know of the API: what Django's middleware adds to pages."""

    async def add_and_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(b"x-content-type-options", b"nosniff")]
            if settings.IS_HTTPS:
                words = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
                more.append((b"strict-transport-security", words.encode()))
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return add_and_send


async def _refuse_websocket(receive: Receive, send: Send) -> None:
    """Close it before it is accepted, which the server answers with 403. Nothing uses them."""
    await receive()
    await send({"type": "websocket.close"})


async def _say_unready(send: Send, why: str) -> None:
    """Tell the orchestrator to send no requests here; those that run are finished."""
    body = orjson.dumps({"status": "unready", "process": why})
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
