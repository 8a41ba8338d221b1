"""Server-sent events."""

import orjson

DONE = b"data: [DONE]\n\n"


def event(payload: object) -> bytes:
    """One server-sent event with a JSON payload."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def named_event(payload: dict[str, object]) -> bytes:
    """One with its type in a line of its own too."""
    return b"event: " + str(payload["type"]).encode() + b"\n" + event(payload)
