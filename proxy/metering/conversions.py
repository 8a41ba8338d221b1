"""Make a stream's chunk of an answer in one piece, and one piece of a stream.

Some upstreams answer a streamed request in one piece, or the other way round; the client gets what
it asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from proxy.errors import AnswerBroken, MalformedAnswer
from proxy.metering.failures import find_failure, to_failure
from proxy.metering.reading import read_object
from proxy.metering.shapes import STOP
from proxy.metering.sse import Splitter, is_end_marker

_BEGINNINGS = (b"data:", b"event:", b"id:", b"retry:", b":")
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def is_stream(body: bytes) -> bool:
    """Tell whether an answer is a stream of events, whatever media type it was sent as."""
    return body.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_BEGINNINGS)


def to_chunk(completion: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole completion as the only chunk of a stream."""
    choices = completion.get("choices")
    if not isinstance(choices, list):
        return dict(completion)
    chunks = [_to_delta(choice) for choice in choices if isinstance(choice, dict)]
    return {**completion, "choices": chunks}


def _to_delta(choice: dict[str, Any]) -> dict[str, Any]:
    chunk = {name: value for name, value in choice.items() if name != "message"}
    message = choice.get("message")
    if isinstance(message, dict):
        calls = message.get("tool_calls")
        chunk["delta"] = message
        if isinstance(calls, list):
            numbered = [
                call | {"index": place}
                for place, call in enumerate(calls)
                if isinstance(call, dict)
            ]
            chunk["delta"] = message | {"tool_calls": numbered}
    chunk["finish_reason"] = choice.get("finish_reason") or STOP
    return chunk


def fold_chunks(body: bytes) -> dict[str, Any]:
    """Return a stream of chunks as a whole completion. Raises UpstreamError."""
    whole: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    is_done = False
    for payload in _payloads(body):
        if is_end_marker(payload):
            is_done = True
            break
        chunk = read_object(payload)
        if failure := find_failure(chunk):
            raise failure
        whole |= {n: v for n, v in chunk.items() if n != "choices" and v not in (None, {})}
        found = chunk.get("choices")
        for place, choice in enumerate(found if isinstance(found, list) else []):
            if isinstance(choice, dict):
                index = choice.get("index", place)
                _fold_choice(choices.setdefault(index if type(index) is int else place, {}), choice)
    if not choices or not (is_done or all(c.get("finish_reason") for c in choices.values())):
        raise AnswerBroken("the stream in place of an answer broke off")
    return whole | {"choices": [{**choices[i], "index": i} for i in sorted(choices)]}


def _fold_choice(whole: dict[str, Any], choice: dict[str, Any]) -> None:
    for name, value in choice.items():
        if name == "delta" and isinstance(value, dict):
            _fold_message(whole.setdefault("message", {"role": "assistant"}), value)
        elif name == "text" and isinstance(value, str):
            whole["text"] = whole.get("text", "") + value
        elif name == "logprobs" and isinstance(value, dict):
            _fold_lists(whole.setdefault("logprobs", {}), value)
        elif value is not None:
            whole[name] = value


def _fold_message(message: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls" and isinstance(value, list):
            calls = message.setdefault("tool_calls", [])
            for place, call in enumerate(value):
                if isinstance(call, dict):
                    _fold_call(calls, call, place)
        elif name == "role" or value is None:
            message.setdefault(name, value)
        else:
            message[name] = _joined(message.get(name), value)


def _fold_call(calls: list[dict[str, Any]], call: dict[str, Any], place: int) -> None:
    index = call.get("index", place)
    known = next((one for one in calls if one["index"] == index), None)
    if known is None:
        calls.append({**call, "index": index})
        return
    for kind in ("function", "custom"):
        if isinstance(given := call.get(kind), dict):
            part = known.setdefault(kind, {})
            for name, value in given.items():
                # A name comes once; some repeat it with every piece of the arguments.
                part[name] = (
                    part.get(name) or value if name == "name" else _joined(part.get(name), value)
                )


def _fold_lists(whole: dict[str, Any], part: dict[str, Any]) -> None:
    for name, value in part.items():
        whole[name] = _joined(whole.get(name), value)


def _joined(before: Any, value: Any) -> Any:
    if isinstance(before, str) and isinstance(value, str):
        return before + value
    if isinstance(before, list) and isinstance(value, list):
        return before + value
    return before if value is None else value


def fold_events(body: bytes) -> dict[str, Any]:
    """Return the response that a stream of its events ends with. Raises UpstreamError."""
    items: list[Any] = []
    for payload in _payloads(body):
        event = read_object(payload)
        kind, response = event.get("type"), event.get("response")
        if kind == "error":
            raise to_failure(event)
        if kind == "response.output_item.done":
            items.append(event.get("item"))
        if kind in _ENDS:
            if not isinstance(response, dict):
                raise MalformedAnswer("the last event holds no response")
            return response if response.get("output") else response | {"output": items}
    raise AnswerBroken("the stream in place of an answer broke off")


def to_events(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a whole response as the events that a stream of it would have."""
    begun = response | {"status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response["output"]):
        if isinstance(item, dict):
            yield from _item_events(item, index)
    kind = "incomplete" if response.get("status") == "incomplete" else "completed"
    yield {"type": f"response.{kind}", "response": response}


# What of an item comes in pieces, by its type: the field, and the event of its pieces.
_PIECES = {
    "function_call": ("arguments", "response.function_call_arguments"),
    "custom_tool_call": ("input", "response.custom_tool_call_input"),
}


def _item_events(item: dict[str, Any], index: int) -> Iterator[dict[str, Any]]:
    where = {"item_id": item.get("id") or f"item_{index}", "output_index": index}
    field, event = _PIECES.get(str(item.get("type")), ("content", ""))
    parts = item.get("content") if item.get("type") == "message" else None
    opened = item | {"status": "in_progress"}
    if event:
        opened[field] = ""
    elif isinstance(parts, list):
        opened["content"] = []
    yield {"type": "response.output_item.added", "output_index": index, "item": opened}
    if event:
        text = item.get(field)
        yield {"type": f"{event}.delta", **where, "delta": text}
        named = {"name": item.get("name")} if field == "arguments" else {}
        yield {"type": f"{event}.done", **where, field: text, **named}
    for place, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(part, dict):
            yield from _part_events(part, where | {"content_index": place})
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _part_events(part: dict[str, Any], where: dict[str, Any]) -> Iterator[dict[str, Any]]:
    field = "refusal" if part.get("type") == "refusal" else "text"
    event = "response.refusal" if field == "refusal" else "response.output_text"
    figures: dict[str, Any] = {} if field == "refusal" else {"logprobs": []}
    yield {"type": "response.content_part.added", **where, "part": part | {field: ""}}
    yield {"type": f"{event}.delta", **where, "delta": part.get(field), **figures}
    yield {"type": f"{event}.done", **where, field: part.get(field), **figures}
    yield {"type": "response.content_part.done", **where, "part": part}


def _payloads(body: bytes) -> Iterator[bytes]:
    splitter = Splitter(max_event_bytes=len(body) + 1)
    for event in (*splitter.feed(body), *splitter.flush()):
        name, data = event.read()
        if name == b"error":
            raise to_failure(read_object(data))
        if data is not None:
            yield data.strip()


def write_event(payload: Mapping[str, Any]) -> bytes:
    """Write an event of a response."""
    kind = str(payload["type"]).encode()
    return b"event: " + kind + b"\ndata: " + orjson.dumps(payload) + b"\n\n"
