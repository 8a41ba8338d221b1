"""One HTTP request and its answer, over raw ASGI."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from sandbox.upstream.connection import ClientLeft, Connection
from sandbox.upstream.errors import ApiError, Headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

JSON = b"application/json"
MAX_BODY_BYTES = 64 * 1024 * 1024


class Exchange:
    """A request as it was received, and the one answer to it."""

    __slots__ = (
        "_head",
        "_receive",
        "_send",
        "connection",
        "headers",
        "method",
        "path",
        "query_string",
        "started_at_s",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.connection: Connection = scope["state"]["connection"]
        self.started_at_s = time.perf_counter()
        self._receive = receive
        self._send = send
        self._head: MutableMapping[str, Any] | None = None

    @property
    def request_id(self) -> str | None:
        """The id that the caller gave this request."""
        value = self.headers.get(b"x-client-request-id") or self.headers.get(b"x-request-id")
        return value.decode("latin-1") if value else None

    def bearer(self) -> str | None:
        """The key that the caller presented."""
        value = self.headers.get(b"authorization", b"").decode("latin-1")
        scheme, _, key = value.partition(" ")
        return key if scheme == "Bearer" else None

    def query(self) -> dict[str, str]:
        """The query's parameters; the last of a repeated one."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    async def read(self) -> bytes:
        """The whole body. Raises ClientLeft, and ApiError 413 if it is too large."""
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            parts.append(message["body"])
            size += len(message["body"])
            if size > MAX_BODY_BYTES:
                raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
            if not message["more_body"]:
                break
        self.connection.watch()
        return b"".join(parts)

    async def read_json(self) -> dict[str, Any]:
        """The body as a JSON object. Raises ApiError 400."""
        try:
            payload = orjson.loads(await self.read())
        except orjson.JSONDecodeError:
            raise ApiError(
                400,
                "We could not parse the JSON body of your request. (HINT: This likely means you "
                "aren't using your HTTP library correctly.)",
            ) from None
        if not isinstance(payload, dict):
            raise ApiError(400, "The body must be a JSON object.")
        return payload

    def begin(self, status: int, headers: Headers) -> None:
        """Choose status and headers; they leave with the first byte of the body."""
        self._head = {"type": "http.response.start", "status": status, "headers": headers}

    async def write(self, data: bytes, *, is_last: bool) -> None:
        """Hand bytes to the socket. Raises ClientLeft if nobody is there to take them."""
        if self._head is not None:
            await self._send(self._head)
            self._head = None
        if self.connection.is_lost:
            raise ClientLeft
        await self._send({"type": "http.response.body", "body": data, "more_body": not is_last})
        # A slow reader left while the send waited for its buffer to empty: nothing was written.
        if self.connection.is_lost:
            raise ClientLeft

    async def respond(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers | None = None
    ) -> None:
        """Answer with a complete body."""
        length = b"%d" % len(body)
        own: Headers = [(b"content-type", content_type), (b"content-length", length)]
        self.begin(status, own + (headers or []))
        await self.write(body, is_last=True)

    async def respond_json(self, payload: object, status: int = 200) -> None:
        """Answer with a JSON body."""
        await self.respond(status, orjson.dumps(payload))
