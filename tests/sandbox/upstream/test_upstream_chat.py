import time
from typing import Any

import httpx
import openai
import pytest

from sandbox.upstream import counting
from tests.sandbox.upstream.emulator import API_KEY, Emulator, body, running, texts

O200K = counting.encoding("o200k_base")


def test_it_answers_the_openai_sdk_in_json(emulator: Emulator) -> None:
    with openai.OpenAI(base_url=emulator.url + "/v1", api_key=API_KEY) as client:
        completion = client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": "say 20 words"}]
        )

    text = completion.choices[0].message.content or ""
    assert len(text.split()) == 20
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    # 3 + user 1 + "say", " ", "20", " words" 4 + 3.
    assert completion.usage.prompt_tokens == 11
    assert completion.usage.completion_tokens == 20 == counting.count_text(text, O200K)


def test_it_streams_to_the_openai_sdk_with_usage_last(emulator: Emulator) -> None:
    with openai.OpenAI(base_url=emulator.url + "/v1", api_key=API_KEY) as client:
        chunks = list(
            client.chat.completions.create(
                model="gpt-4o",
                messages=[{"role": "user", "content": "say 20 words"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )

    said = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert len([text for text in said if text]) == 20
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (11, 20)


def test_it_lists_and_gets_models(emulator: Emulator) -> None:
    with openai.OpenAI(base_url=emulator.url + "/v1", api_key=API_KEY) as client:
        listed = [model.id for model in client.models.list()]

        assert {"gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"} <= set(listed)
        assert client.models.retrieve("gpt-4o").id == "gpt-4o"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("no/such:model")


def test_it_says_the_same_again_and_something_else_to_another(emulator: Emulator) -> None:
    first, again, other = (emulator.post(text).json() for text in ("Hello", "Hello", "Goodbye"))

    assert first["choices"] == again["choices"]
    assert first["choices"] != other["choices"]
    assert first["id"] != again["id"]


def test_another_seed_gets_another_answer(emulator: Emulator) -> None:
    one, two = (emulator.post(seed=seed).json()["choices"] for seed in (1, 2))

    assert one != two


def test_it_says_between_16_and_64_tokens_by_default(emulator: Emulator) -> None:
    lengths = [
        emulator.post(f"Question {number}").json()["usage"]["completion_tokens"]
        for number in range(20)
    ]

    assert 16 <= min(lengths) < max(lengths) <= 64


def test_stream_and_json_say_the_same(emulator: Emulator) -> None:
    streamed = texts(emulator.stream("say 9 words"))
    whole = emulator.post("say 9 words").json()["choices"][0]["message"]["content"]

    assert "".join(streamed) == whole


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_it_stops_at_the_maximum(emulator: Emulator, field: str) -> None:
    completion = emulator.post("[[tokens=30]]", **{field: 12}).json()

    assert completion["choices"][0]["finish_reason"] == "length"
    assert completion["usage"]["completion_tokens"] == 12


def test_an_answer_as_long_as_the_maximum_was_not_cut(emulator: Emulator) -> None:
    completion = emulator.post("[[tokens=30]]", max_tokens=30).json()

    assert completion["choices"][0]["finish_reason"] == "stop"


def test_it_sums_the_usage_of_all_choices(emulator: Emulator) -> None:
    completion = emulator.post("say 7 words", n=3).json()

    said = [choice["message"]["content"] for choice in completion["choices"]]
    assert len(set(said)) == 3
    assert completion["usage"]["completion_tokens"] == 3 * 7


def test_streamed_choices_take_turns(emulator: Emulator) -> None:
    events = emulator.stream("say 4 words", n=2)

    order = [event["choices"][0]["index"] for event in events[2:] if isinstance(event, dict)]
    assert order == [0, 1] * 4 + [0, 1]
    assert len(texts(events, 0)) == len(texts(events, 1)) == 4


def test_it_cuts_before_the_stop_text(emulator: Emulator) -> None:
    text = emulator.post("say 20 words").json()["choices"][0]["message"]["content"]
    stop = " " + text.split()[10]

    completion = emulator.post("say 20 words", stop=["no such text", stop]).json()

    assert completion["choices"][0]["message"]["content"] == " ".join(text.split()[:10])
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert completion["usage"]["completion_tokens"] == 10


def test_it_counts_the_rest_of_a_word_that_a_stop_cuts(emulator: Emulator) -> None:
    text = emulator.post("say 20 words").json()["choices"][0]["message"]["content"]
    stop = text.split()[5][1:] + " " + text.split()[6]

    completion = emulator.post("say 20 words", stop=stop).json()

    left = completion["choices"][0]["message"]["content"]
    assert left == text[: text.index(stop)]
    assert completion["usage"]["completion_tokens"] == counting.count_text(left, O200K)


def test_without_include_usage_no_chunk_mentions_usage(emulator: Emulator) -> None:
    events = emulator.stream("say 3 words")

    assert events[-1] == "[DONE]"
    assert all("usage" not in event for event in events[:-1])


def test_it_reports_cached_tokens_up_to_the_prompt(emulator: Emulator) -> None:
    some = emulator.post("[[cached=4]]").json()["usage"]
    more = emulator.post("[[cached=9999]]").json()["usage"]

    assert some["prompt_tokens_details"]["cached_tokens"] == 4
    assert more["prompt_tokens_details"]["cached_tokens"] == more["prompt_tokens"]


def test_only_the_last_user_message_gives_directives(emulator: Emulator) -> None:
    messages = [
        {"role": "user", "content": "[[tokens=3]]"},
        {"role": "assistant", "content": "[[tokens=4]]"},
        {"role": "user", "content": [{"type": "text", "text": "[[tokens=5]]"}]},
        {"role": "assistant", "content": "[[tokens=6]]"},
    ]

    usage = emulator.post(messages=messages).json()["usage"]

    assert usage["completion_tokens"] == 5


def test_it_counts_a_long_prompt_exactly(emulator: Emulator) -> None:
    usage = emulator.post("a b " * 50_000).json()["usage"]

    # 100,000 letters and the last space; two slices, cut between two words.
    assert usage["prompt_tokens"] == 3 + 1 + (100_000 + 2) + 3


def test_it_speaks_at_the_speed_of_the_directive(emulator: Emulator) -> None:
    times = [at_s for _, at_s in emulator.timed_stream("say 10 words [[tps=50]]")]

    # The opening at once, then a token every 20 ms.
    assert times[0] < 0.1
    assert 0.2 <= times[10] < 0.5


def test_it_speaks_at_the_speed_of_the_models_suffix(emulator: Emulator) -> None:
    times = [at_s for _, at_s in emulator.timed_stream("say 10 words", model="gpt-4o-mini-50tps")]

    assert 0.2 <= times[10] < 0.5


def test_a_json_answer_takes_as_long_as_its_tokens(emulator: Emulator) -> None:
    began_at = time.monotonic()

    emulator.post("say 10 words [[tps=50]]", n=2)

    # Both choices are spoken at once.
    assert 0.2 <= time.monotonic() - began_at < 0.39


def test_the_command_line_sets_the_speed_of_all_models() -> None:
    with running("--tokens-per-second", "50", "--workers", "1") as emulator:
        times = [at_s for _, at_s in emulator.timed_stream("say 10 words")]

    assert 0.2 <= times[10] < 0.5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 4}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "Hello"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
        ),
        ({"messages": [{"role": "user", "content": "Hi", "name": 7}]}, "messages[0].name"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5.0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"stream": True, "stream_options": {"include_usage": 1}}, "include_usage"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop"),
        ({"stop": [7]}, "stop[0]"),
        ({"seed": "seven"}, "seed"),
        ({"tools": {}}, "tools"),
    ],
)
def test_it_refuses_what_openai_refuses(
    emulator: Emulator, fields: dict[str, Any], param: str
) -> None:
    response = emulator.post(**fields)

    assert response.status_code == 400
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"model": NaN}', b'"\xff"'])
def test_it_refuses_a_body_that_is_no_json_object(emulator: Emulator, data: bytes) -> None:
    response = emulator.client.post("/v1/chat/completions", content=data)

    assert response.status_code == 400
    assert response.json()["error"]["param"] is None


def test_it_ignores_fields_that_it_does_not_know(emulator: Emulator) -> None:
    assert emulator.post(a_future_field={"x": 1}).status_code == 200


@pytest.mark.parametrize("header", [None, "Bearer sk-other", f"Basic {API_KEY}", API_KEY])
def test_it_refuses_another_key(emulator: Emulator, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}

    response = httpx.post(emulator.url + "/v1/chat/completions", json=body("Hi"), headers=headers)

    assert response.status_code == 401
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert emulator.tally()["unauthorised"] == 1
    assert emulator.tally()["received"] == 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing", 404),
        ("GET", "/control/reset", 404),
    ],
)
def test_other_paths_and_methods_get_openais_envelope(
    emulator: Emulator, method: str, path: str, status: int
) -> None:
    response = emulator.client.request(method, path)

    assert response.status_code == status
    assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_it_is_healthy_without_a_key(emulator: Emulator) -> None:
    assert httpx.get(emulator.url + "/healthz").json() == {"status": "ok"}
