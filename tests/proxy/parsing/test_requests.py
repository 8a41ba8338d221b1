"""The requests of completions, embeddings and responses: what is read, refused, and sent on."""

from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import InvalidRequest
from proxy.parsing.chat import ChatRequest
from proxy.parsing.completion import CompletionRequest
from proxy.parsing.embedding import EmbeddingRequest
from proxy.parsing.extras import NEVER_PASS
from proxy.parsing.request import ModelRequest
from proxy.parsing.response import ResponseRequest
from proxy.serving.endpoints import ENDPOINTS, Endpoint
from tests.proxy.parsing.written import ALICE, write
from tests.proxy.readers import bound

R = TypeVar("R", bound=ModelRequest)

LEAST: dict[type[ModelRequest], dict[str, Any]] = {
    ChatRequest: {"messages": [{"role": "user", "content": "Hello!"}]},
    CompletionRequest: {"prompt": "Hello!"},
    EmbeddingRequest: {"input": "Hello!"},
    ResponseRequest: {"input": "Hello!"},
}


def parse(kind: type[R], **fields: Any) -> R:
    return kind.parse({"model": "gpt-4", **LEAST[kind], **fields})


def refuse(kind: type[ModelRequest], payload: dict[str, Any]) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as refusal:
        kind.parse(payload)
    assert refusal.value.status == 400
    assert refusal.value.code
    return refusal.value


def sent(request: ModelRequest, **given: Any) -> dict[str, Any]:
    return write(request, **given)


@pytest.mark.parametrize("kind", LEAST)
def test_it_lets_nobody_steer_and_nothing_be_missing(kind: type[ModelRequest]) -> None:
    for name in NEVER_PASS - {"best_of"}:
        assert refuse(kind, {"model": "gpt-4", **LEAST[kind], name: "x"}).param == name
    assert refuse(kind, LEAST[kind]).param == "model"
    assert refuse(kind, {"model": "gpt-4"}).param == next(iter(LEAST[kind]))


@pytest.mark.parametrize(
    ("kind", "fields", "param"),
    [
        (ChatRequest, {"web_search_options": {}}, "web_search_options"),
        (ChatRequest, {"service_tier": "priority"}, "service_tier"),
        (ChatRequest, {"modalities": "text"}, "modalities"),
        (ChatRequest, {"audio": {"voice": "alloy"}}, "audio.format"),
        (ChatRequest, {"prediction": {"type": "content"}}, "prediction.content"),
        (CompletionRequest, {"prompt": 5}, "prompt"),
        (CompletionRequest, {"prompt": []}, "prompt"),
        (CompletionRequest, {"prompt": ["a", 5]}, "prompt[1]"),
        (CompletionRequest, {"prompt": [[1], "a"]}, "prompt[1]"),
        (CompletionRequest, {"prompt": [1, "a"]}, "prompt[1]"),
        (CompletionRequest, {"prompt": [[1], []]}, "prompt[1]"),
        (CompletionRequest, {"prompt": [True]}, "prompt[0]"),
        (CompletionRequest, {"prompt": [-1]}, "prompt[0]"),
        (CompletionRequest, {"best_of": 21}, "best_of"),
        (CompletionRequest, {"best_of": 2, "n": 3}, "best_of"),
        (CompletionRequest, {"best_of": 2, "stream": True}, "best_of"),
        (CompletionRequest, {"logprobs": True}, "logprobs"),
        (CompletionRequest, {"max_tokens": -1}, "max_tokens"),
        (CompletionRequest, {"echo": 1}, "echo"),
        (CompletionRequest, {"suffix": 1}, "suffix"),
        (EmbeddingRequest, {"input": ""}, "input"),
        (EmbeddingRequest, {"input": ["a", ""]}, "input[1]"),
        (EmbeddingRequest, {"input": [""] * 2_049}, "input"),
        (EmbeddingRequest, {"input": None}, "input"),
        (EmbeddingRequest, {"dimensions": 0}, "dimensions"),
        (EmbeddingRequest, {"dimensions": True}, "dimensions"),
        (EmbeddingRequest, {"encoding_format": "int8"}, "encoding_format"),
        (ResponseRequest, {"input": []}, "input"),
        (ResponseRequest, {"input": ["a"]}, "input[0]"),
        (ResponseRequest, {"max_output_tokens": 15}, "max_output_tokens"),
        (ResponseRequest, {"background": True}, "background"),
        (ResponseRequest, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (ResponseRequest, {"conversation": "conv_1"}, "conversation"),
        (ResponseRequest, {"prompt": {"id": "pmpt_1"}}, "prompt"),
        (ResponseRequest, {"tools": [{"type": "file_search"}]}, "tools[0].type"),
        (ResponseRequest, {"tools": [{"type": "mcp", "server_url": "x"}]}, "tools[0].type"),
        (ResponseRequest, {"tools": [{"type": "namespace", "name": "n"}]}, "tools[0].tools"),
        (
            ResponseRequest,
            {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]},
            "tools[0].tools[0].type",
        ),
        (ResponseRequest, {"tools": [{"type": "function"}]}, "tools[0].name"),
        (ResponseRequest, {"service_tier": "flex"}, "service_tier"),
        (ResponseRequest, {"store": 1}, "store"),
        (ResponseRequest, {"include": "x"}, "include"),
        (ResponseRequest, {"instructions": 5}, "instructions"),
        (ResponseRequest, {"text": {"format": {"type": "json_schema"}}}, "text.format.name"),
        (ResponseRequest, {"reasoning": {"effort": 1}}, "reasoning.effort"),
        (ResponseRequest, {"stream_options": {}}, "stream_options"),
    ],
)
def test_it_names_the_parameter_at_fault(
    kind: type[ModelRequest], fields: dict[str, Any], param: str
) -> None:
    assert refuse(kind, {"model": "gpt-4", **LEAST[kind], **fields}).param == param


@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, ""),
        ({"id": "msg_1"}, ""),
        ({"type": "web_search_call", "id": "ws_1"}, ""),
        ({"role": "tool", "content": "x"}, ".role"),
        ({"role": "user"}, ".content"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, ".content[0].type"),
        ({"role": "user", "content": [{"type": "input_text"}]}, ".content[0].text"),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
            ".content[0].file_id",
        ),
        (
            {"role": "user", "content": [{"type": "input_image", "image_url": "file:///x"}]},
            ".content[0].image_url",
        ),
        (
            {"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]},
            ".content[0].file_url",
        ),
        ({"type": "function_call", "name": "f", "arguments": "{}"}, ".call_id"),
        ({"type": "function_call_output", "call_id": "c"}, ".output"),
        ({"type": "reasoning", "summary": [{}]}, ".summary[0].text"),
    ],
)
def test_it_names_the_item_at_fault(item: dict[str, Any], param: str) -> None:
    payload = {"model": "gpt-4", "input": [item]}

    assert refuse(ResponseRequest, payload).param == f"input[0]{param}"


def test_it_takes_every_kind_of_item() -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Hi"},
                {"type": "input_image", "image_url": "https://x.y/z.png", "detail": "low"},
                {"type": "input_file", "file_data": "AAAA"},
            ],
        },
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        },
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ]

    request = parse(ResponseRequest, input=items)

    without_ids = [{n: value for n, value in item.items() if n != "id"} for item in items]
    assert sent(request)["input"] == without_ids


def test_it_pays_for_every_completion_that_is_written() -> None:
    request = parse(CompletionRequest, prompt=["a", "b"], n=2, best_of=3, echo=True)

    assert (request.n, request.generations, request.echoes) == (4, 6, 2)


def test_it_takes_a_completion_of_nothing() -> None:
    request = parse(CompletionRequest, max_tokens=0, prompt=None)

    assert request.client_max_tokens == 0
    assert sent(request, max_tokens=0) == {
        "model": "upstream",
        "prompt": "<|endoftext|>",
        "max_tokens": 0,
    }


def test_it_sends_embeddings_as_they_came() -> None:
    request = parse(EmbeddingRequest, dimensions=8, encoding_format="base64", user="u")

    assert sent(request) == request.body | {"model": "upstream", "user": ALICE.hide("u")}
    assert not request.stream


@pytest.mark.parametrize("store", [None, True, False])
def test_it_has_nothing_stored(store: bool | None) -> None:
    assert sent(parse(ResponseRequest, store=store))["store"] is False
    assert not sent(parse(ChatRequest, store=store)).get("store")


def test_it_labels_nothing_that_is_not_stored() -> None:
    labels = {"metadata": {"a": "b"}}

    assert "metadata" not in sent(parse(ChatRequest, store=True, **labels))
    # OpenAI's own answer to it is for the client; and responses have their labels either way.
    assert sent(parse(ChatRequest, **labels))["metadata"] == {"a": "b"}
    assert sent(parse(ResponseRequest, store=True, **labels))["metadata"] == {"a": "b"}


def test_it_sends_a_maximum_under_the_name_of_the_endpoint() -> None:
    assert sent(parse(ResponseRequest))["max_output_tokens"] == 40
    assert sent(parse(CompletionRequest))["max_tokens"] == 40
    assert "stream_options" not in sent(parse(ResponseRequest, stream=True))
    assert sent(parse(CompletionRequest, stream=True))["stream_options"] == {"include_usage": True}


SHAPE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional={
                "type": st.sampled_from(
                    ["message", "function_call", "reasoning", "input_text", "input_image", "custom"]
                ),
                "role": st.sampled_from(["user", "assistant", "x"]),
                "content": inner,
                "text": inner,
                "name": inner,
                "arguments": inner,
                "call_id": inner,
                "output": inner,
                "summary": inner,
                "image_url": st.just("https://x.y/z.png") | inner,
                "parameters": inner,
                "format": inner,
            },
        )
    ),
    max_leaves=12,
)
FIELDS = ["messages", "prompt", "input", "instructions", "tools", "text", "suffix", "prediction"]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
@settings(max_examples=40)
@given(fields=st.dictionaries(st.sampled_from(FIELDS), SHAPE, max_size=4))
def test_it_refuses_or_counts_any_shape(endpoint: Endpoint, fields: dict[str, Any]) -> None:
    try:
        request = parse(endpoint.request, **fields)
    except InvalidRequest as error:
        assert error.param
        return

    prompt = endpoint.take_apart(request.body, request.model)
    assert 0 <= prompt.count() <= bound(prompt)
    assert sent(request)["model"] == "upstream"
