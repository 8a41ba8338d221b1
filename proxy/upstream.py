"""The one place that speaks HTTP to upstreams: httpx's types over aiohttp's transport.

    UpstreamError
    ├── UpstreamNotReached   no connection, or it closed without a byte of an answer
    ├── UpstreamRefused      an answer other than 200; `status`, `error` and `retry_after_s` of it
    ├── UpstreamTimedOut     no answer in time; the request may have run
    └── AnswerBroken         the answer began and did not end as one

The transport is used without httpx's client, which costs 0.16 ms a request and adds cookies,
redirects and proxies from the environment: here, nothing leaves that was not asked for. Time
limits beyond connecting are the caller's, who watches all requests with one timer.
"""

import ssl
from collections.abc import AsyncGenerator
from functools import lru_cache
from typing import Any, Self

import aiohttp
import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from proxy.exceptions import ProxyError
from proxy.routing.addresses import PublicResolver
from proxy.routing.catalogue import Upstream

# What is read of a refusal; the rest can't make it clearer.
MAX_REFUSAL_BYTES = 64 * 1024
# The largest answer in practice is a few MB of base64.
MAX_ANSWER_BYTES = 64 * 1024 * 1024
KEEPALIVE_S = 30.0
DNS_CACHE_S = 60

# Whatever the libraries raise for a request that went wrong on the way.
TRANSPORT_ERRORS = (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError)


class UpstreamError(ProxyError):
    """An upstream did not serve a request. Its message is for staff."""

    may_try_next = True


class UpstreamNotReached(UpstreamError):
    """There was no connection, or it closed before a byte of an answer."""


class UpstreamRefused(UpstreamError):
    """An answer other than 200. `error` is the error object of its body, if it had one."""

    def __init__(self, status: int, error: dict[str, Any], retry_after_s: float | None) -> None:
        super().__init__(f"the upstream answered {status}")
        self.status = status
        self.error = error
        self.retry_after_s = retry_after_s


class UpstreamTimedOut(UpstreamError):
    """No answer in time. The request may have run, so it is not sent elsewhere."""

    may_try_next = False


class AnswerBroken(UpstreamError):
    """The answer began and did not end as one."""

    may_try_next = False


class UpstreamClient:
    """Sends requests. One per process; whoever opens an answer closes it."""

    def __init__(self, transport: AiohttpTransport) -> None:
        self._transport = transport

    @classmethod
    async def connect(cls, *, max_connections: int) -> Self:
        """Make a client; connections are opened as requests need them."""
        tls = httpx.create_ssl_context(trust_env=False)
        return cls(AiohttpTransport(verify=tls, client=_open_session(tls, max_connections)))

    async def close(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def post(
        self, upstream: Upstream, path: str, body: bytes, *, secret: str, request_id: str
    ) -> "UpstreamAnswer":
        """Send a request and return its answer once the headers of a 200 are there.

        Raises UpstreamNotReached, UpstreamRefused.
        """
        request = httpx.Request(
            "POST",
            _url(upstream.base_url, path),
            headers={
                "authorization": f"Bearer {secret}",
                "content-type": "application/json",
                # A packed stream comes in clumps, and a packed answer can be a bomb.
                "accept-encoding": "identity",
                "user-agent": "tokenproxy",
                "x-client-request-id": request_id,
            },
            content=body,
            extensions={"timeout": {"connect": upstream.connect_timeout_s}},
        )
        try:
            response = await self._transport.handle_async_request(request)
        except TRANSPORT_ERRORS as error:
            raise UpstreamNotReached(type(error).__name__) from error
        answer = UpstreamAnswer(response)
        if response.status_code != 200:
            raise await _refusal(answer)
        return answer


class UpstreamAnswer:
    """An answer whose headers have come and whose body may still be on its way."""

    def __init__(self, response: httpx.Response) -> None:
        self._response = response

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events."""
        content_type: str = self._response.headers.get("content-type", "")
        return content_type.startswith("text/event-stream")

    @property
    def retry_after_s(self) -> float | None:
        """When the upstream wants to be asked again, if it says so in seconds."""
        text = self._response.headers.get("retry-after", "")
        return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Give the body as it comes. Raises AnswerBroken."""
        # Only an upstream that ignores what we accept packs its answer.
        is_packed = self._response.headers.get("content-encoding", "identity") != "identity"
        try:
            async for chunk in self._response.aiter_bytes() if is_packed else self._stream():
                yield chunk
        except TRANSPORT_ERRORS as error:
            raise AnswerBroken(type(error).__name__) from error

    async def read(self, limit_bytes: int = MAX_ANSWER_BYTES) -> bytes:
        """Read the whole body. Raises AnswerBroken, also if it is too large."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit_bytes:
                raise AnswerBroken(f"the answer is longer than {limit_bytes} bytes")
        return bytes(body)

    async def close(self) -> None:
        """Let go of the connection; an answer that has not come to its end is cancelled."""
        try:
            await self._stream().aclose()
        except TRANSPORT_ERRORS:
            # It is closed all the same, which is all that was asked for.
            return

    def _stream(self) -> httpx.AsyncByteStream:
        stream = self._response.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport gives asynchronous streams")
        return stream


async def _refusal(answer: UpstreamAnswer) -> UpstreamRefused:
    """Read what a refusal says, as far as it says it in OpenAI's shape."""
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


def _open_session(tls: ssl.SSLContext, max_connections: int) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=max_connections,
            ssl=tls,
            resolver=PublicResolver(),
            ttl_dns_cache=DNS_CACHE_S,
            keepalive_timeout=KEEPALIVE_S,
        ),
        # A cookie that one customer's answer sets must not go out with another's request.
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


@lru_cache(maxsize=256)
def _url(base_url: str, path: str) -> httpx.URL:
    return httpx.URL(base_url + path)
