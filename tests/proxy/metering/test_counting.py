from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.metering import chats, prompt
from proxy.metering.bounds import bound_by_size
from proxy.metering.encodings import count_text, encoding_for
from proxy.metering.prompt import Prompt
from proxy.parsing.chat import ChatRequest
from tests.proxy.readers import bound, reader_of

# The examples of OpenAI's cookbook, with the usage that its API reported for them.
CORPORATE = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate "
        "jargon into plain English.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "New synergies will help drive top-line growth.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Things working well together will increase revenue.",
    },
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities "
        "for increased leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client "
        "deliverable.",
    },
]
WEATHER = {
    "messages": [
        {
            "role": "system",
            "content": "You are a helpful assistant that can answer to questions about the "
            "weather.",
        },
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_current_weather",
                "description": "Get the current weather in a given location",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "location": {
                            "type": "string",
                            "description": "The city and state, e.g. San Francisco, CA",
                        },
                        "unit": {
                            "type": "string",
                            "description": "The unit of temperature to return",
                            "enum": ["celsius", "fahrenheit"],
                        },
                    },
                    "required": ["location"],
                },
            },
        }
    ],
}


def ask(*messages: dict[str, Any], model: str = "gpt-4o", **fields: Any) -> ChatRequest:
    return ChatRequest.parse({"model": model, "messages": list(messages), **fields})


def taken(request: ChatRequest, *, model: str | None = None) -> Prompt:
    return chats.take_apart(request.body, model or request.model)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


@pytest.mark.parametrize(("model", "reported"), [("gpt-4", 129), ("gpt-4o", 124)])
def test_it_counts_messages_as_the_api_does(model: str, reported: int) -> None:
    assert chats.take_apart({"messages": CORPORATE}, model).count() == reported


@pytest.mark.parametrize(("model", "reported"), [("gpt-4", 105), ("gpt-4o", 101)])
def test_it_counts_tools_as_the_api_does(model: str, reported: int) -> None:
    assert taken(ChatRequest.parse({"model": model, **WEATHER})).count() == reported


def test_it_counts_a_greeting() -> None:
    # 3 for the message, 1 for the role, 2 for the text, 3 for the answer to come.
    assert taken(ask(user("Hello!"))).count() == 9


def test_it_counts_by_the_tokenizer_of_the_model_that_answers() -> None:
    request = ask(user("お誕生日おめでとう"), model="best")

    assert taken(request, model="gpt-4").count() == 3 + 1 + 9 + 3
    assert taken(request).count() == 3 + 1 + 8 + 3


def test_it_counts_parts_and_images() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.b/c.png", "detail": "low"}}

    request = ask(user([{"type": "text", "text": "Hello!"}, image]))

    assert taken(request).count() == 9 + 85


def test_it_counts_nested_schemas_level_by_level() -> None:
    def tool(parameters: dict[str, Any]) -> dict[str, Any]:
        return {"type": "function", "function": {"name": "f", "parameters": parameters}}

    flat = {"type": "object", "properties": {"a": {"type": "object"}}}
    inner = {"type": "object", "properties": {"b": {"type": "string", "description": "why."}}}
    nested = {"type": "object", "properties": {"a": inner}}

    without = taken(ask(user("Hi"), tools=[tool(flat)])).count()
    with_inner = taken(ask(user("Hi"), tools=[tool(nested)])).count()

    line = count_text("b:string:why", encoding_for("gpt-4o"))
    assert with_inner - without == 3 + 3 + line


def test_it_counts_calls_in_the_history() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages = [
        user("Hello!"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "4"},
    ]

    # The greeting's 9; 3 + role + overhead + name + arguments; 3 + role + content.
    assert taken(ask(*messages)).count() == 9 + (3 + 1 + 6 + 1 + 1) + (3 + 1 + 1)


TEXT = st.text(max_size=40)
SCHEMA: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "object", ["string", "null"]]),
            "description": TEXT,
            "enum": st.lists(TEXT | st.integers(-9, 9), max_size=5),
        },
    ),
    lambda inner: st.fixed_dictionaries(
        {"properties": st.dictionaries(TEXT, inner, max_size=3)},
        optional={"items": inner, "anyOf": st.lists(inner, max_size=2), "type": st.just("object")},
    ),
    max_leaves=6,
)


@given(
    texts=st.lists(TEXT, min_size=1, max_size=4),
    schemas=st.lists(SCHEMA, max_size=3),
    model=st.sampled_from(["gpt-4", "gpt-4o", "llama-3"]),
    inline_bytes=st.sampled_from([0, prompt.INLINE_BYTES]),
)
async def test_it_never_counts_more_than_it_held(
    texts: list[str], schemas: list[dict[str, Any]], model: str, inline_bytes: int
) -> None:
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": schema}} for schema in schemas
    ]
    functions = [{"name": "f", "parameters": schema} for schema in schemas]
    request = ask(*map(user, texts), model=model, tools=tools, functions=functions or None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prompt, "INLINE_BYTES", inline_bytes)

        count = taken(request).count()

        assert count <= bound(taken(request))
        assert count <= bound_by_size(taken(request), reader_of(model))


def test_it_holds_little_more_than_a_short_prompt_costs() -> None:
    request = ask(*CORPORATE)

    assert taken(request).count() == 124
    assert bound(taken(request)) == 124 + 16 + 6 * 4


def test_it_takes_huge_prompts_by_size() -> None:
    request = ask(user("word " * 220_000))

    assert bound(taken(request)) == 1_100_000 + 4 + 6 + 20


def test_it_counts_the_schema_of_the_answer() -> None:
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
    written = orjson.dumps(response_format).decode()

    plain = taken(ask(user("Hi"), response_format={"type": "text"})).count()
    shaped = taken(ask(user("Hi"), response_format=response_format)).count()

    assert shaped - plain == count_text(written, encoding_for("gpt-4o"))
