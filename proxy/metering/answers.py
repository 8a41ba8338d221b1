"""Rebuild and meter a whole answer, of each endpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from proxy.errors import MalformedAnswer
from proxy.metering.completions import (
    clean_whole_choice,
    find_choice_failure,
    head_of,
)
from proxy.metering.conversions import fold_chunks, fold_events, is_stream
from proxy.metering.delivered import Delivered, add_choices, add_output, estimate_usage, objects_of
from proxy.metering.encodings import Encoding
from proxy.metering.failures import find_failure, to_failure
from proxy.metering.reading import read_object
from proxy.metering.shapes import Label, read_tier, without_telling
from proxy.metering.usage import Source, Usage, check_usage, has_figures, write_figures

# The statuses of a response that is charged in full; any other status says that it failed.
WHOLE = frozenset({"completed", "incomplete"})
FAILED = "The model failed to complete the response. Try again in a moment."


class JsonAnswer:
    """One whole answer, rebuilt. `read` collects its texts, `write_usage` writes its usage."""

    def __init__(
        self,
        shown: dict[str, Any],
        reported: object,
        *,
        size_bytes: int,
        encoding: Encoding,
        read: Callable[[Delivered], None],
        write_usage: Callable[[Usage, object], dict[str, object]] = write_figures,
        echoes: int = 0,
    ) -> None:
        # What the upstream reported, unchecked; None if nothing.
        self.reported: object = reported if has_figures(reported) else None
        # The size of the answer, whose texts are counted if no usage was reported.
        self.unread_bytes = size_bytes
        self._shown = shown
        self._encoding = encoding
        self._read = read
        self._write_usage = write_usage
        self._echoes = echoes

    def usage(self, *, prompt_tokens: int, max_completion_tokens: int | None) -> Usage:
        """Return the usage to charge for, as `StreamMeter.usage` does. Raises ImpossibleUsage."""
        if self.reported is None:
            return self.estimate(
                prompt_tokens=prompt_tokens, max_completion_tokens=max_completion_tokens
            )
        return check_usage(self.reported, max_completion_tokens=max_completion_tokens)

    def estimate(self, *, prompt_tokens: int, max_completion_tokens: int | None = None) -> Usage:
        """Count the answer's texts."""
        delivered = Delivered(self._encoding)
        self._read(delivered)
        return estimate_usage(
            delivered,
            prompt_tokens,
            echoes=self._echoes,
            max_completion_tokens=max_completion_tokens,
        )

    def write(self, usage: Usage) -> bytes:
        """Write the answer for the client, with the usage that it is charged for."""
        reported = self.reported if usage.source is Source.REPORTED else None
        return orjson.dumps(self._shown | {"usage": self._write_usage(usage, reported)})


def meter_completion(
    body: bytes, *, encoding: Encoding, label: Label, kind: str, echoes: int = 0
) -> JsonAnswer:
    """Meter a completion, of a chat or of the older kind. Raises UpstreamError."""
    answer = fold_chunks(body) if is_stream(body) else read_object(body)
    _raise_failure(answer)
    choices = objects_of(answer.get("choices"))
    for choice in choices:
        if failure := find_choice_failure(choice):
            raise failure
    shown = [
        cleaned
        for place, choice in enumerate(choices)
        if (cleaned := clean_whole_choice(choice, place, label))
    ]
    if not shown:
        raise MalformedAnswer("the answer has no choices")
    reported = answer.get("usage")
    for choice in choices:
        reported = reported or choice.get("usage")
    head = head_of(answer, label, kind=kind, now=int(time.time()))
    return JsonAnswer(
        head | {"choices": shown} | label.pick("completion", answer),
        reported,
        size_bytes=len(body),
        encoding=encoding,
        read=lambda delivered: add_choices(delivered, shown),
        write_usage=partial(write_figures, extras=label.extras),
        echoes=echoes,
    )


def meter_embeddings(body: bytes, *, encoding: Encoding, label: Label) -> JsonAnswer:
    """Meter embeddings, in which nothing is written. Raises UpstreamError."""
    try:
        # Strictly: an embedding with NaN in it is none.
        answer = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedAnswer("the answer is not JSON") from error
    answer = answer if isinstance(answer, dict) else {}
    _raise_failure(answer)
    if not isinstance(answer.get("data"), list):
        raise MalformedAnswer("the answer has no data")
    data = objects_of(answer["data"])
    return JsonAnswer(
        {
            "object": "list",
            "data": [{"object": "embedding"} | label.pick("embedding", each) for each in data],
            "model": label.model,
        },
        answer.get("usage"),
        size_bytes=len(body),
        encoding=encoding,
        read=lambda delivered: None,
        write_usage=_write_prompt_usage,
    )


def meter_response(body: bytes, *, encoding: Encoding, label: Label) -> JsonAnswer:
    """Meter a response. One that says that it failed is a failure. Raises UpstreamError."""
    answer = fold_events(body) if is_stream(body) else read_object(body)
    _raise_failure(answer)
    check_response(answer)
    return JsonAnswer(
        clean_response(answer, label, now=int(time.time())),
        answer.get("usage"),
        size_bytes=len(body),
        encoding=encoding,
        read=lambda delivered: add_output(delivered, answer),
        write_usage=write_response_usage,
    )


def check_response(response: dict[str, Any]) -> None:
    """Refuse a response that failed, or is none. Raises UpstreamError."""
    if response.get("error") or response.get("status") in {"failed", "cancelled"}:
        raise to_failure(response.get("error"))
    is_whole = response.get("status", "completed") in WHOLE
    if not is_whole or not isinstance(response.get("output"), list):
        raise MalformedAnswer("the answer has no output")


def clean_response(
    response: dict[str, Any], label: Label, *, now: int, status: str = "completed"
) -> dict[str, Any]:
    """Return a response, whole or begun, as a client gets it; without usage.

    `now` and `status` are for one that says none.
    """
    shown = label.pick("response", response)
    for name in ("output", "content"):
        if name in shown:
            shown[name] = without_telling(shown[name])
    if "service_tier" in shown:
        shown["service_tier"] = read_tier(shown["service_tier"]) or "default"
    created = response.get("created_at")
    own: dict[str, Any] = {
        "id": label.name("resp_"),
        "object": "response",
        "created_at": created if type(created) in (int, float) else now,
        "model": label.model,
    }
    return own | {"status": status, "metadata": {}} | shown | {**label.echoed}


def hide_failure(response: dict[str, Any]) -> dict[str, Any]:
    """Return a failed response without the upstream's reason, which may name the upstream."""
    return response | {"status": "failed", "error": {"code": "server_error", "message": FAILED}}


def write_response_usage(usage: Usage, _reported: object = None) -> dict[str, object]:
    """Return a response's usage as charged."""
    return usage.as_response_usage()


def _write_prompt_usage(usage: Usage, _reported: object) -> dict[str, object]:
    return {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens}


def _raise_failure(answer: dict[str, Any]) -> None:
    if failure := find_failure(answer):
        raise failure
