"""Refusals of requests that no handler has seen: before their path is known, or their body."""

import orjson

from proxy.errors import ApiError
from proxy.http.connection import Send, new_request_id
from proxy.http.cors import OF_EVERY_ANSWER

Headers = list[tuple[bytes, bytes]]


def encode(error: ApiError) -> tuple[Headers, bytes]:
    """Return an answer in the API's envelope, after which we hang up: its headers and its body."""
    body = orjson.dumps(error.envelope())
    own = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", new_request_id().encode()),
        (b"connection", b"close"),
        # They tell no more than that, to whom is not known yet.
        *OF_EVERY_ANSWER,
    ]
    return headers + own, body


async def refuse(send: Send, error: ApiError) -> None:
    """Answer a request with an error."""
    headers, body = encode(error)
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
