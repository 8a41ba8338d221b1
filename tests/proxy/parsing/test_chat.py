from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.errors import InvalidRequest
from proxy.metering import chats
from proxy.parsing import jsonbody
from proxy.parsing.allowed import Reading, read_fields
from proxy.parsing.chat import ChatRequest
from proxy.parsing.extras import NEVER_PASS
from proxy.parsing.fields import CHAT, SHAPES
from proxy.parsing.messages import are_plain, check_messages
from tests.proxy.parsing.written import write
from tests.proxy.readers import bound

HELLO = {"role": "user", "content": "Hello!"}


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4", "messages": [HELLO], **fields}


def parse(**fields: Any) -> ChatRequest:
    return ChatRequest.parse(body(**fields))


def refuse(payload: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        ChatRequest.parse(payload)
    assert refusal.value.status == 400
    assert refusal.value.code
    return refusal.value


def sent(request: ChatRequest, **given: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"model": "upstream-model", "max_tokens": 4096} | given
    return write(request, **chosen)


def test_it_reads_the_documented_request() -> None:
    request = parse(temperature=0.7, max_tokens=1000)

    assert (request.model, request.stream, request.n) == ("gpt-4", False, 1)
    assert (request.client_max_tokens, request.client_temperature) == (1000, 0.7)
    assert not request.wants_usage


def test_it_takes_null_for_absent() -> None:
    names = ["temperature", "max_tokens", "n", "stream", "stream_options", "stop", "tools", "user"]

    request = parse(**dict.fromkeys(names))

    assert (request.client_max_tokens, request.client_temperature) == (None, None)
    assert (request.stream, request.n, request.wants_usage) == (False, 1, False)


@pytest.mark.parametrize(
    ("payload", "param"),
    [
        ({"messages": [HELLO]}, "model"),
        ({"model": "gpt-4"}, "messages"),
        (body(model=None), "model"),
        (body(model=""), "model"),
        (body(model=4), "model"),
        (body(model="x" * 257), "model"),
        (body(messages=None), "messages"),
        (body(messages=[]), "messages"),
        (body(messages="Hello!"), "messages"),
        (body(messages=["Hello!"]), "messages[0]"),
        (body(temperature=True), "temperature"),
        (body(temperature="0.7"), "temperature"),
        (body(temperature=2.1), "temperature"),
        (body(temperature=-1), "temperature"),
        (body(max_tokens=True), "max_tokens"),
        (body(max_tokens=10.0), "max_tokens"),
        (body(max_tokens="10"), "max_tokens"),
        (body(max_tokens=0), "max_tokens"),
        (body(max_completion_tokens=-1), "max_completion_tokens"),
        (body(max_tokens=5, max_completion_tokens=5), "max_tokens"),
        (body(n=0), "n"),
        (body(n=129), "n"),
        (body(n=True), "n"),
        (body(stream=1), "stream"),
        (body(stream="true"), "stream"),
        (body(stream_options={"include_usage": True}), "stream_options"),
        (body(stream=True, stream_options=True), "stream_options"),
        (body(stream=True, stream_options={"include_usage": 1}), "stream_options.include_usage"),
        (body(stop=5), "stop"),
        (body(stop=[]), "stop"),
        (body(stop=["a"] * 5), "stop"),
        (body(stop=["a", 5]), "stop[1]"),
        (body(top_p=1.5), "top_p"),
        (body(seed=1.5), "seed"),
        (body(logprobs=1), "logprobs"),
        (body(top_logprobs=21), "top_logprobs"),
        (body(presence_penalty=-3), "presence_penalty"),
        (body(user=5), "user"),
        (body(logit_bias=[1]), "logit_bias"),
        (body(logit_bias={"50256": 101}), "logit_bias.50256"),
        (body(metadata={"a": 1}), "metadata.a"),
        (body(response_format="json"), "response_format"),
        (body(response_format={}), "response_format.type"),
        (body(response_format={"type": "regex", "regex": "(a+)+"}), "response_format.type"),
        (body(response_format={"type": "json_schema"}), "response_format.json_schema"),
        (body(tools={}), "tools"),
        (body(tools=[{}]), "tools[0].type"),
        (body(tools=[{"type": "retrieval"}]), "tools[0].type"),
        (body(tools=[{"type": "function"}]), "tools[0].function"),
        (body(tools=[{"type": "function", "function": {}}]), "tools[0].function.name"),
        (body(tools=[{"type": "custom", "custom": {"name": 1}}]), "tools[0].custom.name"),
        (body(functions=[{"name": "f", "parameters": []}]), "functions[0].parameters"),
    ],
)
def test_it_names_the_parameter_at_fault(payload: dict[str, Any], param: str) -> None:
    assert refuse(payload).param == param


def part(kind: str, value: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": kind, kind: value}]}


CALLED = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def calls(*tool_calls: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(tool_calls)}


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"content": "Hello!"}, ".role"),
        ({"role": "robot", "content": "Hello!"}, ".role"),
        ({"role": ["user"], "content": "Hello!"}, ".role"),
        ({"role": "user"}, ".content"),
        ({"role": "user", "content": None}, ".content"),
        ({"role": "user", "content": 5}, ".content"),
        ({"role": "user", "content": []}, ".content"),
        ({"role": "user", "content": ["Hello!"]}, ".content[0]"),
        ({"role": "user", "content": [{"text": "Hello!"}]}, ".content[0].type"),
        ({"role": "user", "content": "Hello!", "name": 5}, ".name"),
        (part("text", None), ".content[0].text"),
        (part("video_url", {"url": "https://a.b/c"}), ".content[0].type"),
        (part("image_url", "https://a.b/c.png"), ".content[0].image_url"),
        (part("image_url", {}), ".content[0].image_url.url"),
        (part("image_url", {"url": "file:///etc/passwd"}), ".content[0].image_url.url"),
        (
            part("image_url", {"url": "https://a.b/c", "detail": "max"}),
            ".content[0].image_url.detail",
        ),
        (part("image_url", {"url": "https://a.b/c", "detail": []}), ".content[0].image_url.detail"),
        (part("input_audio", {"format": "wav"}), ".content[0].input_audio.data"),
        (part("file", {"file_id": "file-1"}), ".content[0].file.file_id"),
        ({"role": "assistant", "audio": {"id": "audio_1"}}, ".audio"),
        (part("file", {"filename": "a.pdf"}), ".content[0].file.file_data"),
        (part("image_url", {"url": "https://a.b/c"}) | {"role": "system"}, ".content[0].type"),
        ({"role": "function", "name": "f", "content": [{"type": "text"}]}, ".content[0].type"),
        ({"role": "function", "content": "4"}, ".name"),
        ({"role": "tool", "content": "4"}, ".tool_call_id"),
        ({"role": "assistant", "refusal": 5}, ".refusal"),
        (calls("add"), ".tool_calls[0]"),
        (calls({"type": "function"}), ".tool_calls[0].id"),
        (calls({"id": "c", "type": "function", "function": "f"}), ".tool_calls[0].function"),
        (
            calls({"id": "c", "type": "function", "function": {"name": "f", "arguments": {}}}),
            ".tool_calls[0].function.arguments",
        ),
        (calls({"id": "c", "type": "magic"}), ".tool_calls[0].type"),
        # One field of what is otherwise taken without a closer look.
        ({"role": "user", "content": 4}, ".content"),
        ({"role": "tool", "content": "4", "tool_call_id": 4}, ".tool_call_id"),
        ({"role": "tool", "content": None, "tool_call_id": "c"}, ".content"),
        (calls(CALLED) | {"content": 4}, ".content"),
        (calls(CALLED) | {"tool_calls": {}}, ".tool_calls"),
        (calls(CALLED, CALLED | {"id": 4}), ".tool_calls[1].id"),
        (
            calls(CALLED | {"function": {"name": 4, "arguments": ""}}),
            ".tool_calls[0].function.name",
        ),
        ({"role": "assistant", "function_call": {"name": "f"}}, ".function_call.arguments"),
    ],
)
def test_it_names_the_place_in_the_message(message: dict[str, Any], param: str) -> None:
    assert refuse(body(messages=[HELLO, message])).param == f"messages[1]{param}"


def test_it_takes_every_published_message() -> None:
    text = [{"type": "text", "text": "Hello!"}]
    function = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    custom = {"id": "d", "type": "custom", "custom": {"name": "g", "input": "x"}}
    media = [
        *text,
        {"type": "image_url", "image_url": {"url": "https://a.b/c.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf,x"}},
    ]
    messages = [
        {"role": "developer", "content": text},
        {"role": "system", "content": "Be brief.", "name": "sys"},
        {"role": "user", "content": media},
        {"role": "assistant", "tool_calls": [function, custom]},
        {"role": "tool", "content": text, "tool_call_id": "c"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": None},
    ]

    request = parse(messages=messages)

    prompt = chats.take_apart(request.body, request.model)
    assert 0 < prompt.count() <= bound(prompt)


@pytest.mark.parametrize("name", sorted(NEVER_PASS))
def test_it_refuses_to_be_steered(name: str) -> None:
    error = refuse(body(**{name: {"x": 1}}))

    assert (error.param, error.code) == (name, "unsupported_parameter")


def test_it_changes_nothing_but_model_and_maximum() -> None:
    original = body(
        temperature=0,
        metadata={"a": "b"},
        top_k={"x": [1, 2.5, None]},
        messages=[HELLO | {"cache_control": {"type": "ephemeral"}}],
    )
    before = orjson.dumps(original)

    sent_body = sent(ChatRequest.parse(original), temperature=0.7)

    assert sent_body == original | {"model": "upstream-model", "max_tokens": 4096}
    assert list(sent_body) == [*original, "max_tokens"]
    assert orjson.dumps(original) == before


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_it_writes_the_maximum_under_the_clients_name(name: str) -> None:
    request = parse(**{name: 500})

    assert request.client_max_tokens == 500
    assert sent(request, max_tokens=300) == body(model="upstream-model") | {name: 300}


def test_it_fills_in_the_temperature_only_where_there_is_none() -> None:
    assert sent(parse(), temperature=0.7)["temperature"] == 0.7
    assert sent(parse(temperature=None), temperature=0.7)["temperature"] == 0.7
    assert sent(parse(temperature=0), temperature=0.7)["temperature"] == 0
    assert "temperature" not in sent(parse(), temperature=None)


@pytest.mark.parametrize(
    ("options", "wants_usage"),
    [
        (None, False),
        ({"include_usage": False, "include_obfuscation": False}, False),
        ({"include_usage": None}, False),
        ({"include_usage": True}, True),
    ],
)
def test_it_always_asks_for_the_usage_of_a_stream(
    options: dict[str, Any] | None, wants_usage: bool
) -> None:
    request = parse(stream=True, stream_options=options)

    assert request.wants_usage is wants_usage
    assert sent(request)["stream_options"] == (options or {}) | {"include_usage": True}


def test_it_does_not_ask_for_the_usage_of_what_is_no_stream() -> None:
    assert "stream_options" not in sent(parse(stream=False))


KEYS = [
    "type",
    "role",
    "content",
    "text",
    "function",
    "custom",
    "name",
    "arguments",
    "input",
    "id",
    "image_url",
    "url",
    "detail",
    "parameters",
    "properties",
    "items",
    "enum",
    "description",
    "json_schema",
    "schema",
]
WORDS = ["user", "assistant", "text", "function", "image_url", "json_schema", "data:,"]
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 200) | st.floats(-3, 3) | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=12,
)
# Right but for one place, so that what is deep inside is reached.
FUNCTION = st.fixed_dictionaries({"name": st.just("f"), "arguments": st.just("{}")}) | VALUE
CALL = st.fixed_dictionaries(
    {"id": st.just("c"), "type": st.just("function"), "function": FUNCTION}, optional={"x": VALUE}
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.just("") | VALUE},
    optional={
        "tool_calls": st.lists(CALL, max_size=2) | VALUE,
        "function_call": FUNCTION,
        "reasoning_content": VALUE,
        "refusal": VALUE,
        "name": VALUE,
    },
)
TOOL = st.fixed_dictionaries(
    {
        "type": st.just("function"),
        "function": st.fixed_dictionaries(
            {"name": st.just("f")}, optional={"parameters": VALUE, "description": VALUE}
        ),
    },
    optional={"custom": VALUE},
)


@given(
    st.lists(MESSAGE, min_size=1, max_size=2),
    st.fixed_dictionaries(
        {},
        optional={
            "tools": st.lists(TOOL, max_size=2) | VALUE,
            "functions": VALUE,
            "response_format": VALUE,
            "prediction": VALUE,
            "stop": VALUE,
            "metadata": VALUE,
            "stream": st.just(True) | VALUE,
            "stream_options": VALUE,
            "max_tokens": VALUE,
        },
    ),
)
def test_it_accepts_only_what_it_can_count(
    messages: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    try:
        request = ChatRequest.parse(body(messages=messages, **fields))
    except InvalidRequest as error:
        assert error.param
        return

    prompt = chats.take_apart(request.body, request.model)
    assert prompt.count() <= bound(prompt)
    assert [one["role"] for one in sent(request)["messages"]] == [one["role"] for one in messages]


TEXTS = st.sampled_from(["user", "assistant", "tool", "system", "f", ""])
VALUES = TEXTS | st.none() | st.booleans() | st.lists(TEXTS, max_size=1)
FUNCTION_CALLS = st.fixed_dictionaries(
    {"name": VALUES, "arguments": TEXTS}, optional={"strange": VALUES}
)
CALLS = st.fixed_dictionaries(
    {"id": VALUES, "type": st.sampled_from(["function", "custom"]), "function": FUNCTION_CALLS},
    optional={"strange": VALUES},
)
WRITTEN_MESSAGES = st.fixed_dictionaries(
    {"role": TEXTS | VALUES, "content": TEXTS | VALUES},
    optional={
        "tool_call_id": VALUES,
        "tool_calls": st.lists(CALLS, max_size=2),
        "name": VALUES,
        "strange": VALUES,
    },
)


@example(messages=[{"role": "user", "content": "f", "strange": "f"}])
@given(messages=st.lists(WRITTEN_MESSAGES, max_size=3))
def test_plain_messages_need_no_closer_look(messages: list[Any]) -> None:
    if not are_plain(messages):
        return

    check_messages(messages)
    reading = read_fields({"messages": messages}, SHAPES[CHAT])
    assert reading == Reading(SHAPES[CHAT])


def test_most_messages_are_plain() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call]}

    assert are_plain([HELLO, turn, {"role": "tool", "content": "1", "tool_call_id": "c"}])
    assert not are_plain([HELLO, {**HELLO, "name": "Ada"}])


def test_a_second_upstream_gets_what_the_first_got() -> None:
    sent_body = orjson.dumps(body(tools=[], metadata={"a": "b"}, stop=["x"], user="ada"))
    request = ChatRequest.parse(jsonbody.parse(sent_body))

    first = write(request)

    assert jsonbody.written_of(request.body) == {}
    assert write(request) == first == write(ChatRequest.parse(orjson.loads(sent_body)))
