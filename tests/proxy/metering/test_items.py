from typing import Any

import pytest

from proxy.metering import chats, items
from tests.proxy.readers import bound

MODEL = "gpt-4o"
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {}}}}


def count(**body: Any) -> int:
    return items.take_apart({"input": "Hello!"} | body, MODEL).count()


def count_chat(*messages: dict[str, Any], **body: Any) -> int:
    return chats.take_apart({"messages": messages} | body, MODEL).count()


HELLO = {"role": "user", "content": "Hello!"}


def test_it_counts_a_text_as_a_users_message() -> None:
    assert count() == count(input=[HELLO]) == count_chat(HELLO)


def test_it_counts_instructions_and_tools_as_those_of_a_chat() -> None:
    tools = [{"type": "function", "function": WEATHER}]

    chat = count_chat({"role": "system", "content": "Be brief."}, HELLO, tools=tools)

    assert count(instructions="Be brief.", tools=[{"type": "function", **WEATHER}]) == chat


@pytest.mark.parametrize(
    ("item", "tokens"),
    [
        # The role and its frame, then the text.
        ({"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}, 3 + 1 + 1),
        ({"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]}, 3 + 1 + 1),
        (
            {"type": "function_call", "call_id": "c", "name": "add", "arguments": "Hi"},
            3 + 6 + 1 + 1,
        ),
        ({"type": "function_call_output", "call_id": "c", "output": "Hi"}, 3 + 1 + 1),
        ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hi"}]}, 3 + 1),
        ({"type": "reasoning", "summary": [], "encrypted_content": "A" * 160}, 3 + 10),
    ],
)
async def test_it_counts_every_kind_of_item(item: dict[str, Any], tokens: int) -> None:
    prompt = items.take_apart({"input": [HELLO, item]}, MODEL)

    assert prompt.count() == count() + tokens
    assert prompt.count() <= bound(prompt)


async def test_it_holds_sealed_thoughts_to_their_size() -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": "A" * 4_000}

    held = bound(items.take_apart({"input": [item]}, MODEL))

    assert 3_000 < held < 3_100


def test_it_counts_the_schema_of_the_answer() -> None:
    schema = {"type": "json_schema", "name": "city", "schema": {"type": "object"}}

    assert count(text={"format": schema}) > count(text={"format": {"type": "text"}}) == count()
