"""What passes of a request, what is refused, and what is left out and named."""

from collections.abc import Iterator
from typing import Any

import pytest

from proxy.errors import InvalidRequest
from proxy.parsing.allowed import MAX_NAMED, Shape, name_ignored
from proxy.parsing.endpoints import ENDPOINTS
from proxy.parsing.extras import DEFAULT_EXTRAS, LIMITED_EXTRAS, never_passes
from proxy.parsing.fields import FIELDS, SHAPES, Fields
from proxy.parsing.intake import Intake
from proxy.parsing.request import ModelRequest
from proxy.parsing.treatment import TREATMENTS, Row, Treatment
from proxy.serving.endpoints import ENDPOINTS as SERVED
from tests.conformance.specification import load
from tests.proxy.parsing.written import ALICE, BOB, write
from tests.proxy.readers import bound

CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES = ENDPOINTS
BODIES = {
    CHAT: "CreateChatCompletionRequest",
    COMPLETIONS: "CreateCompletionRequest",
    EMBEDDINGS: "CreateEmbeddingRequest",
    RESPONSES: "CreateResponse",
}
# The kinds of an object that are refused as a whole, so that their fields are not listed.
OFFERED = {
    "input": {"message", "function_call", "function_call_output", "reasoning"}
    | {"custom_tool_call", "custom_tool_call_output"},
    "tools": {"function", "custom", "namespace"},
    "tool_choice": {"function", "custom", "allowed_tools"},
    "text.format": {"text", "json_schema", "json_object"},
}
# A list of what a client writes by rules of its own, which the specification leaves open.
OPEN = {"tool_choice.tools"}
LEAST: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hi"}]},
    COMPLETIONS: {"prompt": "Hi"},
    EMBEDDINGS: {"input": "Hi"},
    RESPONSES: {"input": "Hi"},
}
SERVING = {endpoint.name: endpoint.request for endpoint in SERVED}


def parse(endpoint: str, **fields: Any) -> ModelRequest:
    return SERVING[endpoint].parse({"model": "m", **LEAST[endpoint], **fields})


def refuse(endpoint: str, **fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        parse(endpoint, **fields)
    assert refusal.value.status == 400
    return refusal.value


def said(name: str) -> dict[str, Any]:
    found: dict[str, Any] = load()["components"]["schemas"][name]
    return found


def kinds(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The objects that a schema allows, each with its fields; of a list, those of its items."""
    if "$ref" in schema:
        yield from kinds(said(schema["$ref"].rpartition("/")[2]))
        return
    together = dict(schema.get("properties", {}))
    for part in schema.get("allOf", []):
        for one in kinds(part):
            together |= one
    if together:
        yield together
    for part in [*schema.get("anyOf", []), *schema.get("oneOf", [])]:
        yield from kinds(part)
    if "items" in schema:
        yield from kinds(schema["items"])


def type_of(fields: dict[str, Any]) -> str:
    return next(iter(fields.get("type", {}).get("enum", [])), "message")


def published(schema: dict[str, Any], path: str) -> dict[str, list[dict[str, Any]]]:
    """The fields of an object and their schemas, over all its kinds that we offer."""
    found: dict[str, list[dict[str, Any]]] = {}
    for fields in kinds(schema):
        if path in OFFERED and type_of(fields) not in OFFERED[path]:
            continue
        for name, value in fields.items():
            found.setdefault(name, []).append(value)
    return found


def differences(ours: Fields, schemas: list[dict[str, Any]], path: str) -> Iterator[str]:
    theirs = published({"anyOf": schemas}, path)
    if path not in OPEN and theirs.keys() != ours.keys():
        yield f"{path or 'the body'}: {sorted(theirs.keys() ^ ours.keys())}"
    for name, inner in ours.items():
        if inner is not None and name in theirs:
            yield from differences(inner, theirs[name], f"{path}.{name}".lstrip("."))


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_its_fields_are_those_of_the_specification(endpoint: str) -> None:
    found = list(differences(FIELDS[endpoint], [said(BODIES[endpoint])], ""))

    assert found == []


# One example of each row of the table, and what becomes of it.
IMAGE = "http://10.0.0.1/a.png"
EXAMPLES: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("background", ""): {RESPONSES: {"background": True}},
    ("previous_response_id", ""): {RESPONSES: {"previous_response_id": "resp_1"}},
    ("conversation", ""): {RESPONSES: {"conversation": "conv_1"}},
    ("prompt", ""): {RESPONSES: {"prompt": {"id": "pmpt_1"}}},
    ("context_management", ""): {RESPONSES: {"context_management": [{"type": "compaction"}]}},
    ("web_search_options", ""): {CHAT: {"web_search_options": {}}},
    ("service_tier", "all but auto and default"): {
        CHAT: {"service_tier": "flex"},
        RESPONSES: {"service_tier": "priority"},
    },
    ("tools.type", "web_search, web_search_preview"): {
        RESPONSES: {"tools": [{"type": "web_search"}, {"type": "web_search_preview"}]}
    },
    ("tools.type", "all others but function, custom and namespace: hosted tools and mcp"): {
        CHAT: {"tools": [{"type": "mcp"}]},
        RESPONSES: {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
    },
    ("messages.content.file.file_id", ""): {
        CHAT: {
            "messages": [
                {"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}
            ]
        }
    },
    ("messages.audio", ""): {
        CHAT: {"messages": [{"role": "assistant", "content": "", "audio": {"id": "audio_1"}}]}
    },
    **{
        (f"input.{field}.{name}", ""): {
            RESPONSES: {
                "input": [
                    {"role": "user", "type": "message", "call_id": "c", "content": []}
                    | {field: [{"type": "input_file", name: "x"}]}
                ]
            }
        }
        for field in ("content", "output")
        for name in ("file_id", "file_url")
    },
    ("input.type", "item_reference (code items_not_stored)"): {
        RESPONSES: {"input": [{"type": "item_reference", "id": "msg_1"}]}
    },
    ("image_url", "URLs of private, local or internal hosts"): {
        CHAT: {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}
            ]
        },
        RESPONSES: {
            "input": [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE}]}]
        },
    },
    ("store", ""): {CHAT: {"store": True}, RESPONSES: {"store": True}},
    ("user", ""): {key: {"user": "u"} for key in ENDPOINTS},
    ("safety_identifier", ""): {key: {"safety_identifier": "u"} for key in (CHAT, RESPONSES)},
    ("prompt_cache_key", ""): {key: {"prompt_cache_key": "u"} for key in (CHAT, RESPONSES)},
    ("stream_options.include_usage", ""): {
        key: {"stream": True, "stream_options": {"include_usage": False}}
        for key in (CHAT, COMPLETIONS)
    },
    ("metadata", "beside store: true"): {CHAT: {"metadata": {"a": "b"}, "store": True}},
    ("input.id", ""): {RESPONSES: {"input": [{"id": "msg_1", "role": "user", "content": "Hi"}]}},
}


def values_at(value: Any, path: list[str]) -> list[Any]:
    """The values of a field, by its path without indices."""
    if isinstance(value, list):
        return [found for item in value for found in values_at(item, path)]
    if not path:
        return [value]
    return values_at(value[path[0]], path[1:]) if path[0] in (value or {}) else []


def cases() -> list[tuple[Row, str]]:
    return [(row, endpoint) for row in TREATMENTS for endpoint in row.endpoints]


@pytest.mark.parametrize(("row", "endpoint"), cases())
def test_it_treats_each_field_as_the_table_says(row: Row, endpoint: str) -> None:
    fields = EXAMPLES[row.field, row.values][endpoint]
    path = row.field.split(".")

    if row.treatment is Treatment.REFUSED:
        assert path[-1] in (refuse(endpoint, **fields).param or "") or path[-1] == "type"
        return

    sent = write(parse(endpoint, **fields))
    given, told = values_at(fields, path), values_at(sent, path)
    if row.treatment is Treatment.LEFT_OUT:
        assert given
        assert told == []
    else:
        assert len(told) == len(given)
        assert told != given


def test_a_response_whose_item_is_not_stored_says_what_to_do() -> None:
    for item in ({"type": "item_reference", "id": "msg_1"}, {"id": "msg_1"}):
        error = refuse(RESPONSES, input=[{"role": "user", "content": "Hi"}, item])

        assert (error.code, error.param) == ("items_not_stored", "input[1]")
        assert "'store' to false" in str(error)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_null_counts_as_absent(endpoint: str) -> None:
    names = ["background", "user_config", "of_tomorrow", "user", "store", "n"]

    request = parse(endpoint, **dict.fromkeys(names))

    assert request.reading.ignored(frozenset()) == ""
    assert not set(names) - {"store"} & write(request).keys()


def test_what_is_switched_off_is_not_refused() -> None:
    request = parse(RESPONSES, background=False)

    assert "background" not in write(request)


def test_values_of_the_specification_pass() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://a.b/c.png", "detail": "original"}}
    messages = [{"role": "user", "content": [image]}]
    items = [
        {
            "role": "user",
            "content": [
                {"type": "input_image", "image_url": "https://a.b/c.png", "detail": "original"}
            ],
        }
    ]

    assert write(parse(CHAT, messages=messages))["messages"] == messages
    assert write(parse(RESPONSES, input=items))["input"] == items


def test_an_extra_passes_to_the_provider_that_takes_it_and_to_no_other() -> None:
    request = parse(CHAT, top_k=5, of_tomorrow=1)
    takes, takes_not = Intake(frozenset({"top_k"})), Intake(frozenset({"of_tomorrow"}))

    assert write(request, takes)["top_k"] == 5
    assert "of_tomorrow" not in write(request, takes)
    assert request.reading.ignored(takes.extras) == "of_tomorrow"
    assert "top_k" not in write(request, takes_not)
    assert write(request, takes_not)["of_tomorrow"] == 1
    assert request.reading.ignored(takes_not.extras) == "top_k"


def test_it_looks_into_every_object_that_it_knows() -> None:
    marked = {"cache_control": {"type": "ephemeral"}, "x": 1}
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"} | marked}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Hi"} | marked]} | marked,
        {"role": "assistant", "tool_calls": [call | marked], "reasoning_content": "Hm"},
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": marked} | marked} | marked

    request = parse(CHAT, messages=messages, tools=[tool], stream=True, stream_options={"x": 1})
    sent = write(request)

    assert request.reading.ignored(frozenset(DEFAULT_EXTRAS)).split(", ") == [
        "messages.x",
        "messages.content.x",
        "messages.tool_calls.x",
        "messages.tool_calls.function.x",
        "tools.x",
        "tools.function.x",
        "stream_options.x",
    ]
    kept = {"cache_control": {"type": "ephemeral"}}
    assert sent["messages"][0] == {
        "role": "user",
        "content": [{"type": "text", "text": "Hi", **kept}],
        **kept,
    }
    assert sent["messages"][1]["reasoning_content"] == "Hm"
    # A schema is the client's own text.
    assert sent["tools"][0]["function"]["parameters"] == marked
    assert sent["stream_options"] == {"include_usage": True}


def test_it_limits_extras_that_could_do_more_than_they_should() -> None:
    request = parse(
        CHAT,
        chat_template_kwargs={"enable_thinking": False, "chat_template": "{{ '' }}"},
        cache_control={"type": "ephemeral", "ttl": "1h"},
    )

    sent = write(request)

    assert sent["chat_template_kwargs"] == {"enable_thinking": False}
    assert sent["cache_control"] == {"type": "ephemeral"}
    assert request.reading.ignored(frozenset(DEFAULT_EXTRAS)).split(", ") == [
        "chat_template_kwargs.chat_template",
        "cache_control.ttl",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "user_config", "api_base", "aws_secret_access_key", "vertex_credentials",
        "azure_ad_token", "search_parameters", "mcp_servers", "best_of", "priority",
        "kv_transfer_params", "guided_regex", "cached_content", "models", "route", "provider",
        "litellm_params", "extra_body", "chat_template",
    ],
)  # fmt: skip
def test_what_would_steer_or_cost_is_refused_on_chats(name: str) -> None:
    error = refuse(CHAT, **{name: 1})

    assert (error.param, error.code) == (name, "unsupported_parameter")


def test_the_default_extras_are_none_that_never_pass() -> None:
    fields = set().union(*FIELDS.values())

    assert not [name for name in DEFAULT_EXTRAS if never_passes(name)]
    assert list(DEFAULT_EXTRAS) == sorted(set(DEFAULT_EXTRAS))
    assert LIMITED_EXTRAS.keys() <= set(DEFAULT_EXTRAS)
    # `reasoning` is OpenAI's for responses.
    assert set(DEFAULT_EXTRAS) & fields == {"reasoning"}


def test_it_names_only_plain_names_and_not_too_many() -> None:
    hostile = {"a\r\nset-cookie: x": 1, "é": 1, "x" * 41: 1, "": 1}
    many = {f"of_tomorrow_{number}": 1 for number in range(30)}

    assert parse(CHAT, **hostile, ok=1).reading.ignored(frozenset()) == "ok, +4"
    named = parse(CHAT, **many).reading.ignored(frozenset()).split(", ")
    assert len(named) == MAX_NAMED + 1
    assert named[-1] == "+10"
    assert name_ignored([]) == ""


def test_a_web_search_is_left_out_unless_it_is_asked_for() -> None:
    function = {"type": "function", "name": "f", "parameters": {}}

    request = parse(RESPONSES, tools=[{"type": "web_search"}, function], tool_choice="auto")
    alone = parse(RESPONSES, tools=[{"type": "web_search"}], tool_choice="auto")

    assert write(request)["tools"] == [function]
    assert request.reading.ignored(frozenset()) == "tools.web_search"
    assert not {"tools", "tool_choice"} & write(alone).keys()


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "web_search"},
        {"type": "web_search_preview"},
        {"type": "mcp", "server_label": "x"},
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "web_search"}]},
        "required",
    ],
)
def test_a_choice_of_what_is_not_offered_is_refused(choice: Any) -> None:
    error = refuse(RESPONSES, tools=[{"type": "web_search"}], tool_choice=choice)

    assert (error.param or "").startswith("tool_choice")


def test_a_namespace_of_functions_passes_and_is_counted() -> None:
    inner = {"type": "function", "name": "find", "description": "Find it.", "parameters": {}}
    namespace = {"type": "namespace", "name": "files", "description": "Files.", "tools": [inner]}
    call = {
        "type": "function_call", "namespace": "files", "name": "find", "call_id": "c",
        "arguments": "{}",
    }  # fmt: skip
    take_apart = next(one.take_apart for one in SERVED if one.name == RESPONSES)

    request = parse(RESPONSES, tools=[namespace], input=[call])
    prompt = take_apart(request.body, "gpt-4o")

    assert write(request)["tools"] == [namespace]
    assert write(request)["input"] == [call]
    assert prompt.count() > take_apart(parse(RESPONSES, input=[call]).body, "gpt-4o").count() + 10
    assert prompt.count() <= bound(prompt)


def test_nobody_shares_a_value_of_another_customer() -> None:
    given = {"user": "u", "safety_identifier": "u", "prompt_cache_key": "k" * 500}
    request = parse(CHAT, **given)

    hers, again = write(request, customer=ALICE), write(request, customer=ALICE)
    his = write(request, customer=BOB)

    assert hers == again
    for name, value in given.items():
        assert hers[name] not in {value, his[name]}
        assert len(hers[name]) <= 64


def test_a_customer_is_marked_only_where_staff_want_it() -> None:
    marking = Intake(customer_mark="safety_identifier", salts_caches=True)

    plain, marked = write(parse(CHAT)), write(parse(CHAT), marking)
    given = write(parse(CHAT, safety_identifier="u"), marking)

    assert not {"safety_identifier", "cache_salt", "user"} & plain.keys()
    assert marked["safety_identifier"] == ALICE.mark()
    assert marked["cache_salt"] == ALICE.cache_salt() != BOB.cache_salt()
    assert given["safety_identifier"] == ALICE.hide("u") != ALICE.mark()
    # By the specification, embeddings have no such field.
    assert write(parse(EMBEDDINGS), marking).keys() & {"user", "safety_identifier"} == {"user"}


def shapes(shape: Shape) -> Iterator[Shape]:
    yield shape
    for inner in shape.inner.values():
        yield from shapes(inner)


def test_no_field_both_passes_and_does_not() -> None:
    for shape in (inner for one in SHAPES.values() for inner in shapes(one)):
        assert not shape.names & shape.dropped
        assert not shape.inner.keys() - shape.names
