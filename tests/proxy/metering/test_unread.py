"""Whatever text is sent on is held for, wherever in a request it stands."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest

from proxy.errors import InvalidRequest
from proxy.metering.bounds import bound_exactly
from proxy.metering.encodings import count_text, encoding_for
from proxy.metering.prompt import NEVER_SHOWN
from proxy.serving.endpoints import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Endpoint
from tests.proxy.readers import reader_of

TEXT = "a stone, a leaf, an unfound door; " * 30
TOKENS = count_text(TEXT, encoding_for("gpt-4"))
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PIXEL = "data:image/png;base64,AAAA"
BODIES: dict[str, tuple[Endpoint, dict[str, Any]]] = {
    "chat": (
        CHAT,
        {
            "model": "gpt-4",
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "Be short."}]},
                {
                    "role": "user",
                    "name": "al",
                    "content": [
                        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                        {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                        {"type": "file", "file": {"file_data": "AA", "filename": "a.pdf"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": "Yes.",
                    "refusal": "No.",
                    "reasoning_content": "Hm.",
                    "tool_calls": [CALL],
                },
                {"role": "tool", "tool_call_id": "c1", "content": "4"},
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
            "functions": [{"name": "f"}],
            "response_format": {"type": "json_object"},
            "prediction": {"type": "content", "content": [{"type": "text", "text": "4"}]},
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "reasoning_effort": "low",
        },
    ),
    "completion": (COMPLETIONS, {"model": "gpt-4", "prompt": "Hi", "suffix": "!"}),
    "embedding": (EMBEDDINGS, {"model": "gpt-4", "input": "Hi"}),
    "response": (
        RESPONSES,
        {
            "model": "gpt-4",
            "instructions": "Be short.",
            "input": [
                {
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "Hi"},
                        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                        {"type": "input_file", "file_data": "AA", "filename": "a.pdf"},
                    ],
                },
                {"type": "message", "role": "assistant", "content": "Yes.", "id": "m1"},
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "4"},
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "text": {"format": {"type": "text"}, "verbosity": "low"},
            "reasoning": {"effort": "low"},
            "tool_choice": "auto",
        },
    ),
}


# The bytes of documents and sound, for which the context is held.
FILES = {"file_data", "data"}


def objects(value: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a body, and where it stands."""
    if isinstance(value, dict):
        yield where, value
        for name, inner in value.items():
            yield from objects(inner, f"{where}.{name}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(inner, f"{where}[{index}]")


def plant_unknown(found: dict[str, Any]) -> Iterator[str]:
    """Add fields that nobody knows, one after the other."""
    for name, planted in [("documents", [{"text": TEXT}]), ("reasoning", TEXT)]:
        found[name], before = planted, found.get(name)
        yield name
        found[name] = before


def plant_known(found: dict[str, Any]) -> Iterator[str]:
    """Put a text into each field that has one, one after the other."""
    for name, before in list(found.items()):
        if isinstance(before, str):
            found[name] = TEXT
            yield name
            found[name] = before


def bound(endpoint: Endpoint, body: dict[str, Any]) -> int:
    checked = endpoint.request.parse(orjson.loads(orjson.dumps(body))).body
    prompt = endpoint.take_apart(checked, "gpt-4")
    # With a file it would be held at the context, whatever its texts.
    prompt.has_files = False
    return bound_exactly(prompt, reader_of("gpt-4"))


@pytest.mark.parametrize("plant", [plant_unknown, plant_known])
@pytest.mark.parametrize("kind", BODIES)
def test_it_holds_for_every_text_that_it_sends_on(
    kind: str, plant: Callable[[dict[str, Any]], Iterator[str]]
) -> None:
    endpoint, body = BODIES[kind][0], copy.deepcopy(BODIES[kind][1])
    least = bound(endpoint, body) + TOKENS - 10
    tried, free = 0, []

    for where, found in list(objects(body)):
        for name in plant(found):
            try:
                held = bound(endpoint, body)
            except InvalidRequest:
                continue
            tried += 1
            is_held = held >= least or (where == "" and name in NEVER_SHOWN)
            if not is_held and name not in FILES:
                free.append(f"{where}.{name}")

    assert free == []
    assert tried > 0


@pytest.mark.parametrize("name", sorted(NEVER_SHOWN - {"model", "encoding_format"}))
def test_it_holds_nothing_for_what_no_model_is_shown(name: str) -> None:
    body = {"model": "gpt-4", "input": "Hi"}

    assert bound(EMBEDDINGS, body | {name: TEXT}) == bound(EMBEDDINGS, body)


def test_it_counts_no_more_than_before_for_an_estimate() -> None:
    messages = [{"role": "user", "content": "Hi"}]

    plain = CHAT.take_apart({"messages": messages}, "gpt-4")
    more = CHAT.take_apart({"messages": messages, "documents": [{"text": TEXT}]}, "gpt-4")

    assert more.count() == plain.count()
