"""Completions and embeddings."""

import array
import base64
import math
from typing import Any

import openai
import pytest

from sandbox.upstream import counting
from tests.conformance.specification import problems
from tests.sandbox.upstream.emulator import API_KEY, Emulator, read_stream

COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
CL100K = counting.encoding("cl100k_base")


def complete(emulator: Emulator, **fields: Any) -> dict[str, Any]:
    payload = {"model": "gpt-3.5-turbo-instruct", **fields}
    response = emulator.client.post(COMPLETIONS, json=payload)
    assert response.status_code == 200, response.text
    assert problems("CreateCompletionResponse", response.json()) == []
    answer: dict[str, Any] = response.json()
    return answer


def embed(emulator: Emulator, text: Any, **fields: Any) -> dict[str, Any]:
    payload = {"model": "text-embedding-3-small", "input": text, **fields}
    response = emulator.client.post(EMBEDDINGS, json=payload)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_it_goes_on_for_16_tokens_by_default(emulator: Emulator) -> None:
    answer = complete(emulator, prompt="Once upon a time [[tokens=40]]")

    assert answer["usage"]["completion_tokens"] == 16
    assert answer["choices"][0]["finish_reason"] == "length"


@pytest.mark.parametrize(
    "prompt", ["say 3 words", ["say 3 words"], CL100K.encode("say 3 words"), None]
)
def test_a_prompt_is_a_text_or_tokens(emulator: Emulator, prompt: Any) -> None:
    answer = complete(emulator, prompt=prompt)

    # Without a prompt it starts at the mark between documents: <|endoftext|> as text is 7 tokens.
    assert answer["usage"]["prompt_tokens"] == (7 if prompt is None else 4)


def test_every_text_has_its_choices_in_order(emulator: Emulator) -> None:
    answer = complete(emulator, prompt=["say 2 words", "say 2 words now"], n=2, echo=True)

    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    starts = [choice["text"].startswith("say 2 words now") for choice in answer["choices"]]
    assert starts == [False, False, True, True]
    assert answer["usage"]["completion_tokens"] == 4 * 2


def test_all_candidates_are_billed(emulator: Emulator) -> None:
    answer = complete(emulator, prompt="say 2 words", n=1, best_of=5)

    assert len(answer["choices"]) == 1
    assert answer["usage"]["completion_tokens"] == 5 * 2


def test_an_echo_has_its_probabilities_too(emulator: Emulator) -> None:
    [choice] = complete(emulator, prompt="say 3 words", echo=True, logprobs=2)["choices"]

    logprobs = choice["logprobs"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    offsets = logprobs["text_offset"]
    assert [
        choice["text"][at:].startswith(token)
        for at, token in zip(offsets, logprobs["tokens"], strict=True)
    ] == [True] * 7


def test_a_streamed_completion_adds_up_to_the_whole(emulator: Emulator) -> None:
    payload = {"model": "gpt-3.5-turbo-instruct", "prompt": "say 9 words", "echo": True}

    chunks = read_stream(
        emulator, COMPLETIONS, {**payload, "stream_options": {"include_usage": True}}
    )

    text = "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    assert text == complete(emulator, **payload)["choices"][0]["text"]
    assert chunks[-1]["usage"]["completion_tokens"] == 9


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": []}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [10**9]}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "a", "n": 3, "best_of": 2}, "best_of"),
        ({"prompt": "a", "logprobs": 6}, "logprobs"),
    ],
)
def test_it_refuses_a_wrong_completion(
    emulator: Emulator, fields: dict[str, Any], param: str
) -> None:
    payload = {"model": "gpt-3.5-turbo-instruct", **fields}

    refused = emulator.client.post(COMPLETIONS, json=payload)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


def test_a_vector_is_as_long_as_1_and_depends_on_the_text(emulator: Emulator) -> None:
    data = embed(emulator, ["a", "b", "a"])["data"]

    first, second, third = (row["embedding"] for row in data)
    assert len(first) == 1536
    assert math.hypot(*first) == pytest.approx(1, abs=1e-6)
    assert first == third != second


def test_tokens_have_the_vector_of_their_text(emulator: Emulator) -> None:
    text = embed(emulator, "Hello world")
    tokens = embed(emulator, CL100K.encode("Hello world"))
    several = embed(emulator, [CL100K.encode("Hello world")])

    assert text["data"] == tokens["data"] == several["data"]
    assert text["usage"] == {"prompt_tokens": 2, "total_tokens": 2}


def test_base64_holds_the_same_numbers(emulator: Emulator) -> None:
    plain = embed(emulator, "Hello", dimensions=8)["data"][0]["embedding"]
    coded = embed(emulator, "Hello", dimensions=8, encoding_format="base64")["data"][0]["embedding"]

    assert array.array("f", base64.b64decode(coded)).tolist() == plain


def test_the_sdk_reads_embeddings(emulator: Emulator) -> None:
    with openai.OpenAI(base_url=emulator.url + "/v1", api_key=API_KEY) as client:
        answer = client.embeddings.create(model="text-embedding-3-large", input="Hello")

    assert len(answer.data[0].embedding) == 3072


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [""]}, "input"),
        ({"input": "word " * 8193}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": 1537}, "dimensions"),
        ({"input": "a", "model": "text-embedding-ada-002", "dimensions": 8}, "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
    ],
)
def test_it_refuses_a_wrong_embedding(
    emulator: Emulator, fields: dict[str, Any], param: str
) -> None:
    refused = emulator.client.post(EMBEDDINGS, json={"model": "text-embedding-3-small", **fields})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("path", [COMPLETIONS, EMBEDDINGS])
def test_faults_strike_every_endpoint(emulator: Emulator, path: str) -> None:
    payload = {"model": "fault-no-usage", "prompt": "a", "input": "a"}

    answers = [
        emulator.client.post(path, json={**payload, "model": model})
        for model in ("fault-503", "fault-no-usage", "fault-malformed-event")
    ]

    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert "usage" not in answers[1].json()
    with pytest.raises(ValueError, match=r"Unterminated|Expecting|delimiter"):
        answers[2].json()
