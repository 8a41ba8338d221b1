"""httpx's requests and responses over aiohttp's sessions, as lightly as they can be made.

httpx-aiohttp's own transport reads the headers by their names, makes a time-out anew for each
request, and passes each part of an answer through one more generator.
"""

from collections.abc import AsyncIterator
from functools import lru_cache
from ssl import SSLContext

import aiohttp
import httpx
from aiohttp import ClientResponse, ClientTimeout
from httpx_aiohttp import AiohttpTransport


class Transport(AiohttpTransport):
    """Sends requests over one session. Raises aiohttp's errors as they are."""

    def __init__(self, session: aiohttp.ClientSession, tls: SSLContext) -> None:
        super().__init__(verify=tls, client=session)
        self._session = session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer once its headers are there. The request has been read."""
        limits = request.extensions["timeout"]
        response = await self._session.request(
            request.method,
            str(request.url),
            headers=[(name.decode(), value.decode()) for name, value in request.headers.raw],
            data=request.content or None,
            allow_redirects=False,
            auto_decompress=False,
            timeout=_timeout(limits["connect"], limits["read"]),
        )
        return httpx.Response(
            response.status, headers=response.raw_headers, stream=Body(response), request=request
        )


class Body(httpx.AsyncByteStream):
    """The body of an answer: each time all that has come."""

    def __init__(self, response: ClientResponse) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.content.iter_any()

    async def aclose(self) -> None:
        """Release the connection, or close it if the body has not come to its end."""
        self._response.release()
        await self._response.wait_for_close()


@lru_cache(maxsize=256)
def _timeout(connect_s: float | None, read_s: float | None) -> ClientTimeout:
    return ClientTimeout(sock_connect=connect_s, sock_read=read_s)
