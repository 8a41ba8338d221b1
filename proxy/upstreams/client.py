"""The one place that speaks HTTP to upstreams: httpx's types over aiohttp's connections.

The transport is used without httpx's client, which costs 0.16 ms a request and adds cookies,
redirects and proxies from the environment. The caller sets all time limits except that of
connecting, because one timer watches all requests.
"""

import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from functools import cache, lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import httpx
import orjson
from aiohttp.connector import Connection
from django.conf import settings

from common.retry_after import parse_retry_after
from common.tracing import span
from proxy.errors import (
    AnswerBroken,
    UpstreamError,
    UpstreamHungUp,
    UpstreamNotReached,
    UpstreamRefused,
    UpstreamTimedOut,
    is_upstreams_fault,
)
from proxy.upstreams.addresses import PublicResolver
from proxy.upstreams.routes import Upstream
from proxy.upstreams.transport import Transport

if TYPE_CHECKING:
    from opentelemetry.trace import Span

# How much of a refusal's body is read.
MAX_REFUSAL_BYTES = 64 * 1024
# The largest answer in practice is a few MB of base64.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
DNS_CACHE_S = 60
# An upstream may close a kept connection while a request is on its way: then the connection closes
# within this time. If it closes later, the request may have run.
HANG_UP_S = 1.0

# The errors that the libraries raise for a failed request.
TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)


# Whether the connection of the present task's last request had served another one before.
_is_reused: ContextVar[bool] = ContextVar("is_reused", default=False)


# What a connection has that served a request.
USED = "_tokenproxy_used"


class Connector(aiohttp.TCPConnector):
    """Opens connections, and tells which ones are used again."""

    async def connect(self, req: aiohttp.ClientRequest, *more: Any, **options: Any) -> Connection:
        """Return a connection for a request."""
        connection = await super().connect(req, *more, **options)
        protocol = connection.protocol
        if protocol is not None:
            _is_reused.set(hasattr(protocol, USED))
            setattr(protocol, USED, True)
        return connection


class UpstreamClient:
    """Sends requests. One per process. The caller closes each answer."""

    def __init__(self, transport: Transport, fresh: Transport) -> None:
        self._transport = transport
        # Its connections are closed after each request, so each is a fresh one.
        self._fresh = fresh

    @classmethod
    async def connect(cls, *, max_connections: int) -> Self:
        """Make a client; connections are opened as requests need them."""
        kept, fresh = (
            Transport(_make_connector(max_connections, **how))
            for how in (
                {"keepalive_timeout": settings.UPSTREAM_KEEP_ALIVE_S},
                {"force_close": True},
            )
        )
        return cls(kept, fresh)

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()
        await self._fresh.aclose()

    async def post(
        self,
        upstream: Upstream,
        path: str,
        body: bytes,
        *,
        secret: str,
        request_id: str,
        read_timeout_s: float | None = None,
    ) -> "UpstreamAnswer":
        """Send a request and return its answer once the headers of a 200 are there.

        With `read_timeout_s`, a silence of that length breaks the answer.
        Raises UpstreamNotReached, UpstreamRefused, UpstreamTimedOut, AnswerBroken.
        """
        with span("upstream", request_id=request_id) as traced:
            headers = [*_headers(secret, request_id), (b"content-type", b"application/json")]
            headers += _trace_of(traced)
            request = _request("POST", _url(upstream.base_url, path), headers, body)
            return await self._send(request, upstream, read_timeout_s)

    async def get(
        self, upstream: Upstream, path: str, *, secret: str, request_id: str
    ) -> "UpstreamAnswer":
        """Get something of our own, such as the list of models. Raises as `post`."""
        url = _url(upstream.base_url, path)
        request = _request("GET", url, _headers(secret, request_id), b"")
        return await self._send(request, upstream, upstream.first_byte_timeout_s)

    async def _send(
        self, request: httpx.Request, upstream: Upstream, read_timeout_s: float | None
    ) -> "UpstreamAnswer":
        limits = {"connect": upstream.connect_timeout_s, "read": read_timeout_s}
        request.extensions["timeout"] = limits
        try:
            answer = await _ask(self._transport, request)
        except UpstreamHungUp:
            if not _is_reused.get():
                raise
            # The upstream closed a kept connection just as it was used again, without a byte of an
            # answer: most servers do after some seconds. Another one may serve, once.
            answer = await _ask(self._fresh, request)
        response = answer.response
        if response.status_code != 200:
            raise await _refusal(answer)
        return answer


class UpstreamAnswer:
    """An answer whose headers have come and whose body may still be on its way."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        # Called once at the end, with what broke the body, or "" if nothing did.
        self.on_ended: Callable[[str], None] | None = None

    async def __aenter__(self) -> "UpstreamAnswer":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it, and report it as broken if the upstream is at fault."""
        if error is not None and is_upstreams_fault(error):
            self._tell_end(type(error).__name__)
        await self.close()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def retry_after_s(self) -> float | None:
        """The seconds that the upstream asks to wait, if it says so."""
        return parse_retry_after(self.response.headers)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the body as it comes. Raises AnswerBroken."""
        try:
            async for chunk in self._parts():
                yield chunk
        except TRANSPORT_ERRORS as error:
            raise self._broken(error) from error

    async def read(self, limit_bytes: int = MAX_ANSWER_BYTES) -> bytes:
        """Read the whole body. Raises AnswerBroken, also if it is too large."""
        body = bytearray()
        try:
            # Most come in one part, which costs less than a generator.
            async for chunk in self._parts():
                body += chunk
                if len(body) > limit_bytes:
                    raise AnswerBroken(f"the answer is longer than {limit_bytes} bytes")
        except TRANSPORT_ERRORS as error:
            raise self._broken(error) from error
        return bytes(body)

    async def close(self) -> None:
        """Release the connection. Cancels an answer that has not come to its end."""
        self._tell_end("")
        try:
            await self._stream().aclose()
        except TRANSPORT_ERRORS:
            # The connection is closed nevertheless.
            return

    def _tell_end(self, broken: str) -> None:
        if self.on_ended is not None:
            tell, self.on_ended = self.on_ended, None
            tell(broken)

    def _parts(self) -> AsyncIterator[bytes]:
        # Only an upstream that ignores our Accept-Encoding compresses its answer. Raw, since httpx
        # decodes all headers to find one.
        for name, value in self.response.headers.raw:
            if name.lower() == b"content-encoding" and value != b"identity":
                return self.response.aiter_bytes()
        return aiter(self._stream())

    def _broken(self, error: Exception) -> AnswerBroken:
        kind = type(_cause(error)).__name__
        self._tell_end(kind)
        return AnswerBroken(kind)

    def _stream(self) -> httpx.AsyncByteStream:
        stream = self.response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gives asynchronous streams")
        return stream


def _headers(secret: str, request_id: str) -> list[tuple[bytes, bytes]]:
    return [
        (b"accept", b"*/*"),
        (b"authorization", f"Bearer {secret}".encode("ascii")),
        # A compressed stream comes in bursts, and a compressed answer can be a bomb.
        (b"accept-encoding", b"identity"),
        (b"user-agent", b"tokenproxy"),
        (b"x-client-request-id", request_id.encode("ascii")),
    ]


def _trace_of(traced: "Span | None") -> list[tuple[bytes, bytes]]:
    """Return the header that lets an upstream's spans join ours, if that is wanted (W3C)."""
    if traced is None or not settings.TRACES_TO_UPSTREAMS:
        return []
    at = traced.get_span_context()
    text = f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"
    return [(b"traceparent", text.encode("ascii"))]


def _request(
    method: str, url: httpx.URL, headers: list[tuple[bytes, bytes]], body: bytes
) -> httpx.Request:
    """Make a request. The host and the length are the transport's to write, once."""
    request = httpx.Request(method, url, headers=headers, stream=httpx.ByteStream(body))
    request.read()
    return request


async def _ask(transport: Transport, request: httpx.Request) -> UpstreamAnswer:
    """Send a request over one transport. Raises UpstreamError."""
    began_at = time.monotonic()
    _is_reused.set(False)
    try:
        return UpstreamAnswer(await transport.handle_async_request(request))
    except TRANSPORT_ERRORS as error:
        raise _failure(error, after_s=time.monotonic() - began_at) from error


def _failure(error: Exception, *, after_s: float) -> UpstreamError:
    """Return what a transport's error means for a request whose answer has not begun."""
    cause = _cause(error)
    kind = type(cause).__name__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return UpstreamNotReached(kind)
    if isinstance(cause, aiohttp.ServerTimeoutError):
        return UpstreamTimedOut("silence before an answer")
    is_hang_up = isinstance(cause, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
    if not is_hang_up:
        return UpstreamNotReached(kind)
    if after_s < HANG_UP_S:
        return UpstreamHungUp(kind)
    return AnswerBroken(f"{kind} after {after_s:.1f} s without a byte")


def _cause(error: BaseException) -> BaseException:
    """Return the error of aiohttp, which knows more than what it came of, or is given as."""
    return error if isinstance(error, aiohttp.ClientError) else error.__cause__ or error


async def _refusal(answer: UpstreamAnswer) -> UpstreamRefused:
    """Read a refusal, with its error object if that has OpenAI's form."""
    try:
        payload = orjson.loads(await answer.read(MAX_REFUSAL_BYTES))
    except (AnswerBroken, orjson.JSONDecodeError):
        payload = None
    finally:
        await answer.close()
    error = payload.get("error") if isinstance(payload, dict) else None
    return UpstreamRefused(
        answer.status, error if isinstance(error, dict) else {}, answer.retry_after_s
    )


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the TLS settings of every connection. Reading the certificates takes 17 ms."""
    return httpx.create_ssl_context(trust_env=False)


def _make_connector(max_connections: int, **how: Any) -> Connector:
    return Connector(
        limit=max_connections,
        ssl=_tls_context(),
        resolver=PublicResolver(),
        ttl_dns_cache=DNS_CACHE_S,
        **how,
    )


@lru_cache(maxsize=256)
def _url(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(base_url + path)
