"""Meter a whole answer, of each endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from proxy.errors import MalformedAnswer
from proxy.metering.delivered import (
    Delivered,
    add_choices,
    add_output,
    estimate_usage,
    parse_object,
)
from proxy.metering.encodings import Encoding
from proxy.metering.naming import PublicName, is_telling, without_telling
from proxy.metering.usage import Usage, as_completion_usage, check_usage

# The statuses of a response that is charged in full; any other status says that it failed.
WHOLE = frozenset({"completed", "incomplete"})
FAILED = "The model failed to complete the response. Try again in a moment."


class JsonAnswer:
    """One whole answer, metered. `read` collects its texts."""

    def __init__(
        self,
        body: bytes,
        reported: object,
        *,
        encoding: Encoding,
        read: Callable[[Delivered], None],
        echoes: int = 0,
        is_failed: bool = False,
    ) -> None:
        # The body as the client gets it.
        self.body = body
        # Whether the answer, a 200, says of itself that it failed.
        self.is_failed = is_failed
        # What the upstream reported, unchecked; None if nothing, or an empty object.
        self.reported: object = reported or None
        # The size of the answer, whose texts are counted if no usage was reported.
        self.unread_bytes = len(body)
        self._encoding = encoding
        self._read = read
        self._echoes = echoes

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Return the usage to charge for, as `StreamMeter.usage` does. Raises ImpossibleUsage."""
        if self.reported is None:
            return self.estimate(prompt_tokens=prompt_tokens)
        return check_usage(self.reported, max_completion_tokens=max_completion_tokens)

    def estimate(self, *, prompt_tokens: int) -> Usage:
        """Count the answer's texts."""
        delivered = Delivered(self._encoding)
        self._read(delivered)
        return estimate_usage(delivered, prompt_tokens, echoes=self._echoes)


def meter_completion(body: bytes, *, encoding: Encoding, model: str, echoes: int = 0) -> JsonAnswer:
    """Meter a completion, of a chat or of the older kind. Raises MalformedAnswer."""
    body, answer = _read(body, "choices")
    return JsonAnswer(
        PublicName(model).write_object(body),
        answer.get("usage"),
        encoding=encoding,
        read=lambda delivered: add_choices(delivered, answer),
        echoes=echoes,
    )


def meter_embeddings(body: bytes, *, encoding: Encoding, model: str) -> JsonAnswer:
    """Meter embeddings, in which nothing is written. Raises MalformedAnswer."""
    body, answer = _read(body, "data")
    return JsonAnswer(
        PublicName(model).write_object(body),
        answer.get("usage"),
        encoding=encoding,
        read=lambda delivered: None,
    )


def meter_response(body: bytes, *, encoding: Encoding, model: str) -> JsonAnswer:
    """Meter a response, which may say that it failed. Raises MalformedAnswer."""
    body, answer = _read(body, "output")
    is_failed = answer.get("status") not in WHOLE
    return JsonAnswer(
        PublicName(model).write_object(hide_failure(answer) if is_failed else body),
        as_completion_usage(answer.get("usage")),
        encoding=encoding,
        read=lambda delivered: add_output(delivered, answer),
        is_failed=is_failed,
    )


def hide_failure(response: dict[str, Any]) -> bytes:
    """Return a failed response without the upstream's reason, which may name the upstream."""
    if response.get("error") is None:
        return orjson.dumps(response)
    return orjson.dumps(response | {"error": {"code": "server_error", "message": FAILED}})


def _read(body: bytes, name: str) -> tuple[bytes, dict[str, Any]]:
    """Return an answer as it is passed on, raw and parsed. Raises MalformedAnswer."""
    answer = parse_object(body)
    if not isinstance(answer.get(name), list):
        raise MalformedAnswer(f"the answer has no {name}")
    if not is_telling(body):
        return body, answer
    answer = without_telling(answer)
    return orjson.dumps(answer), answer
