"""Every event of a stream as a client gets it, checked against OpenAI's specification."""

from typing import Any

import orjson
import pytest

from tests.conformance.specification import problems
from tests.proxy.conftest import HELLO, PATHS, Api, Customer

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
CHAT_TOOL = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
RESPONSE_TOOL = {"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}
USAGE = {"stream_options": {"include_usage": True}}
THREE = [{"role": "user", "content": "say 3 words"}]
# Models of the sandbox: as OpenAI's, without usage, each byte a chunk, one that thinks, one that
# says nothing true of its usage.
CHATS: dict[str, dict[str, Any]] = {
    "plain": {},
    "usage": USAGE,
    "usage of ours": {"model": "fault-no-usage"} | USAGE,
    "usage in place of an impossible one": {"model": "fault-negative-usage"} | USAGE,
    "bytes": {"model": "fault-byte-chunks"} | USAGE,
    "without a marker": {"model": "fault-no-done"} | USAGE,
    "tools": {"tools": [CHAT_TOOL], "tool_choice": "required"},
    "log probabilities": {"logprobs": True, "top_logprobs": 2},
    "two answers": {"n": 2} | USAGE,
    "thoughts": {"model": "o3", "max_completion_tokens": 100, "temperature": 1} | USAGE,
}
RESPONSES: dict[str, dict[str, Any]] = {
    "plain": {},
    "usage of ours": {"model": "fault-no-usage"},
    "usage in place of an impossible one": {"model": "fault-negative-usage"},
    "bytes": {"model": "fault-byte-chunks"},
    "tools": {"tools": [RESPONSE_TOOL], "tool_choice": "required"},
    "thoughts": {"model": "o3", "reasoning": {"summary": "auto"}, "temperature": 1},
    "cut short": {"max_output_tokens": 16, "input": "say 40 words"},
    "failed": {"model": "fault-failed-event-3"},
    "an error": {"model": "fault-error-event-3"},
    "broken": {"model": "fault-cut-3"},
}
MODELS = ["o3"] + [f"fault-{name}" for name in ("no-usage", "negative-usage", "byte-chunks")]
MODELS += ["fault-no-done", "fault-failed-event-3", "fault-error-event-3", "fault-cut-3"]


async def payloads(api: Api, customer: Customer, endpoint: str, **body: Any) -> list[Any]:
    """Return what a stream holds, without its end marker."""
    await api.sell(*MODELS)
    response = await api.client.post(
        PATHS[endpoint],
        headers=customer.headers,
        json={"model": "gpt-4", "stream": True} | body,
    )
    assert response.status_code == 200
    lines = response.text.split("\n")
    data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    return [orjson.loads(each) for each in data if each != "[DONE]"]


@pytest.mark.parametrize("kind", CHATS)
async def test_every_chunk_of_a_chat_is_one_of_the_specification(
    api: Api, alice: Customer, kind: str
) -> None:
    chunks = await payloads(api, alice, "chat.completions", **{"messages": THREE} | CHATS[kind])

    wrong = [p for chunk in chunks for p in problems("CreateChatCompletionStreamResponse", chunk)]
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage")]
    assert len(chunks) > 1
    assert wrong == []
    assert len(usages) == ("stream_options" in CHATS[kind])


@pytest.mark.parametrize("model", ["gpt-4", "fault-no-usage"])
async def test_every_chunk_of_a_completion_is_one_of_the_specification(
    api: Api, alice: Customer, model: str
) -> None:
    chunks = await payloads(api, alice, "completions", model=model, prompt="Hi", **USAGE)

    # It is the schema of whole answers, with null for a reason that is not yet known.
    whole = [chunk for chunk in chunks if chunk["choices"]]
    for choice in (choice for chunk in whole for choice in chunk["choices"]):
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    wrong = [p for chunk in chunks for p in problems("CreateCompletionResponse", _usable(chunk))]
    assert len(whole) > 1
    assert wrong == []


def _usable(chunk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in chunk.items() if name != "usage" or value}


@pytest.mark.parametrize("kind", RESPONSES)
async def test_every_event_of_a_response_is_one_of_the_specification(
    api: Api, alice: Customer, kind: str
) -> None:
    events = await payloads(api, alice, "responses", **{"input": "say 5 words"} | RESPONSES[kind])

    wrong = [(e["type"], p) for e in events for p in problems("ResponseStreamEvent", e)]
    numbers = [event["sequence_number"] for event in events]
    assert len(events) > 1
    assert wrong == []
    assert numbers == sorted(set(numbers))


async def test_a_chunk_that_is_none_would_be_found(api: Api, alice: Customer) -> None:
    chunk, *_ = await payloads(api, alice, "chat.completions", messages=HELLO)

    assert problems("CreateChatCompletionStreamResponse", chunk | {"object": "chunk"})
