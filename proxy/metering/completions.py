"""Rebuild the choices of completions, of chats and of the older kind, whole or in chunks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.errors import UpstreamRefused
from proxy.metering.failures import to_failure
from proxy.metering.shapes import (
    STOP,
    Label,
    clean_message,
    is_failed_finish,
    read_fingerprint,
    read_finish,
    read_tier,
)

_PLAIN_CHOICE = frozenset({"index", "delta", "finish_reason", "logprobs"})
_CONTENT = frozenset({"content"})


def find_choice_failure(choice: Mapping[str, Any]) -> UpstreamRefused | None:
    """Return the failure of the upstream that a choice tells of."""
    if error := choice.get("error"):
        return to_failure(error)
    finish = choice.get("finish_reason")
    return to_failure(finish) if finish and is_failed_finish(finish) else None


def find_plain_content(choice: Any) -> str | None:
    """Return the text of a choice that passes as it is, as nearly all do: a text and no more."""
    if choice.__class__ is not dict or choice.get("finish_reason", 0) is not None:
        return None
    delta = choice.get("delta")
    if delta.__class__ is not dict or delta.keys() != _CONTENT:
        return None
    content = delta["content"]
    if content.__class__ is not str or choice["index"].__class__ is not int:
        return None
    return content if choice.keys() <= _PLAIN_CHOICE else None


def clean_chunk_choice(choice: Mapping[str, Any], place: int, label: Label) -> dict[str, Any]:
    """Return a choice of a chunk as a client gets it; {} if it says nothing."""
    finish, delta = read_finish(choice.get("finish_reason")), choice.get("delta")
    cleaned: dict[str, Any] = {"index": _index(choice, place)}
    if delta.__class__ is dict:
        cleaned["delta"] = clean_message(delta)
    elif isinstance(choice.get("text"), str):
        cleaned["text"] = choice["text"]
    elif finish is None:
        return {}
    else:
        cleaned["delta"] = {}
    return cleaned | label.pick("choice", choice) | {"finish_reason": finish}


def clean_whole_choice(choice: Mapping[str, Any], place: int, label: Label) -> dict[str, Any]:
    """Return a choice of a whole completion as a client gets it; {} if it says nothing."""
    message = choice.get("message")
    cleaned: dict[str, Any] = {"index": _index(choice, place)}
    if isinstance(message, dict):
        shown = {"role": "assistant", "content": None, "refusal": None} | clean_message(message)
        for call in shown.get("tool_calls", ()):
            call.pop("index", None)
        cleaned["message"] = shown
    elif isinstance(choice.get("text"), str):
        cleaned["text"] = choice["text"]
    else:
        return {}
    picked = {"logprobs": None} | label.pick("choice", choice)
    return cleaned | picked | {"finish_reason": read_finish(choice.get("finish_reason")) or STOP}


def head_of(answer: Mapping[str, Any], label: Label, *, kind: str, now: int) -> dict[str, Any]:
    """Return the fields that all chunks of an answer have in common, or that a whole one has."""
    is_chat = kind.startswith("chat")
    created = answer.get("created")
    head: dict[str, Any] = {
        "id": label.name("chatcmpl-" if is_chat else "cmpl-"),
        "object": kind,
        "created": created if type(created) is int and created > 0 else now,
        "model": label.model,
    }
    if tier := read_tier(answer.get("service_tier")):
        head["service_tier"] = tier
    if fingerprint := read_fingerprint(answer.get("system_fingerprint")):
        head["system_fingerprint"] = fingerprint
    return head


def _index(choice: Mapping[str, Any], place: int) -> int:
    index = choice.get("index")
    return index if type(index) is int and index >= 0 else place
