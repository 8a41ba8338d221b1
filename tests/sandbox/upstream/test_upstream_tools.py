from typing import Any

import orjson
import pytest

from sandbox.upstream.counting import count_text, encoding
from tests.conformance.specification import problems
from tests.sandbox.upstream.emulator import Emulator, read_stream

O200K = encoding("o200k_base")
CHAT = "/v1/chat/completions"
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}


def function(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters or WEATHER}}


ONE = [function("get_weather")]
TWO = [function("get_weather"), function("get_time")]


def ask(emulator: Emulator, text: str, **fields: Any) -> dict[str, Any]:
    response = emulator.post(text, **fields)
    assert response.status_code == 200, response.text
    assert problems("CreateChatCompletionResponse", response.json()) == []
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def called(choice: dict[str, Any]) -> list[str]:
    return [call["function"]["name"] for call in choice["message"].get("tool_calls") or ()]


def test_it_calls_a_tool_with_arguments_from_the_message(emulator: Emulator) -> None:
    choice = ask(emulator, "How is 'Oslo' for 3 days?", tools=ONE)

    [call] = choice["message"]["tool_calls"]
    assert orjson.loads(call["function"]["arguments"]) == {"city": "Oslo", "days": 3}
    assert choice["message"]["content"] is None
    assert choice["finish_reason"] == "tool_calls"


def test_it_answers_in_words_after_the_result(emulator: Emulator) -> None:
    first = ask(emulator, "How is 'Oslo' for 3 days?", tools=ONE)["message"]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "Rain"}
    asked = {"role": "user", "content": "How is 'Oslo' for 3 days?"}

    choice = ask(emulator, "", tools=ONE, messages=[asked, first, result])

    assert called(choice) == []
    assert choice["message"]["content"]


@pytest.mark.parametrize(
    ("text", "fields", "names"),
    [
        ("Hello", {"tool_choice": "none"}, []),
        ("Hello", {}, ["get_weather"]),
        ("[[calls=0]]", {}, []),
        ("[[calls=3]]", {}, ["get_weather"] * 3),
        ("get_time, please", {}, ["get_time"]),
        ("get_time and get_weather", {}, ["get_time", "get_weather"]),
        ("get_time and get_weather", {"parallel_tool_calls": False}, ["get_time"]),
        ("[[calls=0]]", {"tool_choice": "required"}, ["get_weather"]),
        (
            "Hello",
            {"tool_choice": {"type": "function", "function": {"name": "get_time"}}},
            ["get_time"],
        ),
        (
            "Hello",
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": TWO[1:]},
                }
            },
            ["get_time"],
        ),
    ],
)
def test_it_honours_the_choice_of_tools(
    emulator: Emulator, text: str, fields: dict[str, Any], names: list[str]
) -> None:
    assert called(ask(emulator, text, tools=TWO, **fields)) == names


def test_required_goes_on_to_the_next_tool(emulator: Emulator) -> None:
    asked = {"role": "user", "content": "Hello"}
    first = ask(emulator, "Hello", tools=TWO, tool_choice="required")["message"]
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "Rain"}

    choice = ask(emulator, "", tools=TWO, tool_choice="required", messages=[asked, first, result])

    assert called(choice) == ["get_time"]


def test_streamed_calls_add_up_to_the_whole(emulator: Emulator) -> None:
    whole = ask(emulator, "get_time and get_weather", tools=TWO)["message"]["tool_calls"]
    payload = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "get_time and get_weather"}],
        "tools": TWO,
    }

    chunks = read_stream(emulator, CHAT, payload)

    assert [
        p for chunk in chunks for p in problems("CreateChatCompletionStreamResponse", chunk)
    ] == []
    built: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        for part in chunk["choices"][0]["delta"].get("tool_calls") or ():
            call = built.setdefault(part["index"], {"name": "", "arguments": ""})
            call["name"] += part["function"].get("name", "")
            call["arguments"] += part["function"]["arguments"]
    assert list(built.values()) == [call["function"] for call in whole]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_the_tokens_of_a_call_are_counted(emulator: Emulator) -> None:
    with_tools = emulator.post("'Oslo' 3", tools=ONE).json()["usage"]
    without = emulator.post("'Oslo' 3").json()["usage"]

    made = count_text("get_weather", O200K) + count_text('{"city":"Oslo","days":3}', O200K)
    assert with_tools["completion_tokens"] == made
    # 12 for the list, 7 and the name for the function, 3 and 2 × 3 for the properties.
    texts = [count_text(text, O200K) for text in ("get_weather:", "city:string:", "days:integer:")]
    added = with_tools["prompt_tokens"] - without["prompt_tokens"]
    assert added == 12 + 7 + 3 + 2 * 3 + sum(texts)


def test_a_call_is_cut_at_the_maximum(emulator: Emulator) -> None:
    choice = ask(emulator, "'Oslo' 3", tools=ONE, max_tokens=5)

    [call] = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "length"
    assert not call["function"]["arguments"].endswith("}")


def test_a_custom_tool_is_given_text(emulator: Emulator) -> None:
    tools = [{"type": "custom", "custom": {"name": "write"}}]

    [call] = ask(emulator, "Hello", tools=tools)["message"]["tool_calls"]

    assert call["type"] == "custom"
    assert len(call["custom"]["input"].split()) == 6


def test_superseded_functions_are_called_too(emulator: Emulator) -> None:
    choice = ask(emulator, "'Oslo' 3", functions=[ONE[0]["function"]])

    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"]["name"] == "get_weather"


def test_an_answer_fits_its_schema(emulator: Emulator) -> None:
    chosen = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}

    choice = ask(emulator, "'Oslo' for 3 days", response_format=chosen)

    assert orjson.loads(choice["message"]["content"]) == {"city": "Oslo", "days": 3}


def test_a_json_object_has_the_names_that_were_quoted(emulator: Emulator) -> None:
    choice = ask(emulator, "keys 'a' and 'b'", response_format={"type": "json_object"})

    assert list(orjson.loads(choice["message"]["content"])) == ["a", "b"]


def test_text_beyond_ascii_is_streamed_whole(emulator: Emulator) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    chosen = {"type": "json_schema", "json_schema": {"name": "w", "schema": schema}}
    payload = {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "'𠜎你好\\n🏔'"}],
        "response_format": chosen,
    }

    chunks = read_stream(emulator, CHAT, payload)

    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert orjson.loads(text) == {"city": "𠜎你好\\n🏔"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function.name"),
        ({"tools": [function("f", {"type": "robot"})]}, "tools[0].function.parameters"),
        ({"tool_choice": "perhaps"}, "tool_choice"),
        (
            {"tools": ONE, "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.name"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": {"$ref": "#/nowhere"}},
                }
            },
            "schema",
        ),
        ({"reasoning_effort": "some"}, "reasoning_effort"),
        ({"top_logprobs": 2}, "top_logprobs"),
    ],
)
def test_it_refuses_what_it_could_not_meet(
    emulator: Emulator, fields: dict[str, Any], param: str
) -> None:
    response = emulator.post(**fields)

    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


def test_each_token_has_its_probability(emulator: Emulator) -> None:
    choice = ask(emulator, "say 4 words", logprobs=True, top_logprobs=2)

    content = choice["logprobs"]["content"]
    assert "".join(entry["token"] for entry in content) == choice["message"]["content"]
    assert all(entry["top_logprobs"][0]["token"] == entry["token"] for entry in content)
    assert [len(entry["top_logprobs"]) for entry in content] == [2] * 4


def test_images_sound_and_documents_are_counted(emulator: Emulator) -> None:
    def count(*parts: dict[str, Any]) -> int:
        message = {"role": "user", "content": [{"type": "text", "text": "Hi"}, *parts]}
        tokens: int = emulator.post(messages=[message]).json()["usage"]["prompt_tokens"]
        return tokens

    image = {"url": "https://example.com/a.png"}
    low = {"type": "image_url", "image_url": {**image, "detail": "low"}}
    high = {"type": "image_url", "image_url": image}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 4 * 16_000, "format": "mp3"}}
    document = {"type": "file", "file": {"file_data": "A" * 400}}

    bare = count()

    # 85, and 170 for each of the 4 tiles of 1024 × 1024; 3 s of sound; 400 / 4.
    assert [count(part) - bare for part in (low, high, sound, document)] == [85, 765, 30, 100]
