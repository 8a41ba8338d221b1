"""httpx's requests and responses over aiohttp's connections, as lightly as they can be made.

aiohttp opens and keeps the connections, resolves names, speaks TLS and parses answers. Its session
is left out: for each exchange it makes a request, a response, a writer and a task to write with,
and it looks after cookies, redirects and proxies, none of which may be.
"""

import re
from collections.abc import AsyncIterator
from functools import lru_cache

import aiohttp
import httpx
from aiohttp import ClientRequest, ClientTimeout, StreamReader
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from yarl import URL

# In a header they would end its line, and begin another one (RFC 9110, 5.5).
_LINE_END = re.compile(rb"[\r\n\0]")


class Transport(httpx.AsyncBaseTransport):
    """Sends requests over one connector. Raises aiohttp's errors as they are."""

    def __init__(self, connector: aiohttp.TCPConnector) -> None:
        self._connector = connector
        # By scheme, host and port: what aiohttp needs to find or open a connection.
        self._origins: dict[bytes, ClientRequest] = {}

    async def aclose(self) -> None:
        """Close every connection."""
        await self._connector.close()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer once its headers are there. The request has been read."""
        origin = self._origin(request.url)
        packed = _pack(request, is_last=self._connector.force_close)
        limits = request.extensions["timeout"]
        connection = await self._connect(origin, limits["connect"])
        try:
            _send(connection, packed, read_s=limits["read"])
            answer, content = await _read_head(connection, origin)
        except BaseException:
            connection.close()
            raise
        body = Body(connection, content)
        return httpx.Response(answer.code, headers=answer.raw_headers, stream=body, request=request)

    def _origin(self, url: httpx.URL) -> ClientRequest:
        key = url.raw_scheme + b"://" + url.netloc
        origin = self._origins.get(key)
        if origin is None:
            origin = self._origins[key] = ClientRequest("GET", URL(key.decode("ascii")))
        return origin

    async def _connect(self, origin: ClientRequest, connect_s: float | None) -> Connection:
        try:
            return await self._connector.connect(origin, [], _limit(connect_s))
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError("Connecting took too long.") from error


class Body(httpx.AsyncByteStream):
    """The body of an answer: each time all that has come. At its end the connection is free."""

    def __init__(self, connection: Connection, content: StreamReader) -> None:
        self._connection = connection
        self._content = content
        content.on_eof(self._let_go)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._content.iter_any()

    async def aclose(self) -> None:
        """Release the connection, or close it if the body has not come to its end."""
        self._let_go()

    def _let_go(self) -> None:
        transport = self._connection.transport
        if transport is not None and transport.get_write_buffer_size():
            # Answered before it was sent: the rest of it must not come before another request.
            self._connection.close()
        else:
            self._connection.release()


@lru_cache(maxsize=256)
def _limit(connect_s: float | None) -> ClientTimeout:
    return ClientTimeout(sock_connect=connect_s)


def _pack(request: httpx.Request, *, is_last: bool) -> tuple[bytes, bytes]:
    """Return the head and the body as they are sent. Raises ValueError for a broken header."""
    url, body = request.url, request.content
    lines = [
        b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (request.method.encode(), url.raw_path, url.netloc)
    ]
    headers = request.headers.raw
    if _LINE_END.search(b"".join([value for _, value in headers])):
        raise ValueError("A header of a request to an upstream has a line's end in it.")
    lines += [b"%b: %b\r\n" % header for header in headers]
    if body:
        lines.append(b"Content-Length: %d\r\n" % len(body))
    if is_last:
        lines.append(b"Connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines), body


def _send(connection: Connection, packed: tuple[bytes, bytes], *, read_s: float | None) -> None:
    """Write a request. From now on, a silence of `read_s` breaks the exchange."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise aiohttp.ClientOSError("The connection was closed before it was used.")
    protocol.set_response_params(read_until_eof=True, auto_decompress=False, read_timeout=read_s)
    transport.writelines(packed)
    protocol.start_timeout()


async def _read_head(
    connection: Connection, origin: ClientRequest
) -> tuple[RawResponseMessage, StreamReader]:
    """Return the head of the answer, and its body to be read."""
    assert connection.protocol is not None  # noqa: S101  # it was just written to
    while True:
        try:
            answer, content = await connection.protocol.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientResponseError(
                origin.request_info, (), status=error.code, message=error.message
            ) from error
        # An answer on the way is none (RFC 9110, 15.2); one to another protocol is the last.
        if not 100 <= answer.code < 200 or answer.code == 101:
            return answer, content
