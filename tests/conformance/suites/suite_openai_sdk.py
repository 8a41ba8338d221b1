"""How openai-python behaves: what it takes from the environment, retries and raises."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from pydantic import BaseModel
from target import API_KEY, BASE_URL, BROKE_API_KEY, CHAT_MODEL, EMBEDDING_MODEL

needs_balances = pytest.mark.skipif(not BROKE_API_KEY, reason="the API under test has no balances")
needs_product = pytest.mark.skipif(not BROKE_API_KEY, reason="the API under test is an upstream")

HELLO: list[Any] = [{"role": "user", "content": "say 5 words"}]
# A square of 1 × 1 pixels.
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhg"
    "GAWjR9awAAAABJRU5ErkJggg=="
)


class Forecast(BaseModel):
    """A structured answer."""

    city: str
    days: int


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY) as made:
        yield made


def test_the_address_and_the_key_are_all_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", BASE_URL)
    monkeypatch.setenv("OPENAI_API_KEY", API_KEY)

    with openai.OpenAI() as client:
        completion = client.chat.completions.create(model=CHAT_MODEL, messages=HELLO)

    assert len((completion.choices[0].message.content or "").split()) == 5


@needs_balances
@pytest.mark.parametrize("stream", [False, True])
def test_out_of_balance_is_one_request(stream: bool) -> None:
    sent: list[httpx2.Request] = []
    http = httpx2.Client(event_hooks={"request": [sent.append]})

    with (
        openai.OpenAI(base_url=BASE_URL, api_key=BROKE_API_KEY, http_client=http) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model=CHAT_MODEL, messages=HELLO, stream=stream)

    assert caught.value.code == "insufficient_quota"
    assert [request.method for request in sent] == ["POST"]


@needs_product
def test_a_broken_stream_raises(client: openai.OpenAI) -> None:
    said: list[str] = []

    stream = client.chat.completions.create(model="broken-stream", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        said += [chunk.choices[0].delta.content or "" for chunk in stream]


def test_a_wrong_key_is_an_authentication_error() -> None:
    with (
        openai.OpenAI(base_url=BASE_URL, api_key="sk-wrong") as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="fault-no-such-model", messages=HELLO)

    assert caught.value.code == "model_not_found"


def test_it_parses_a_structured_answer(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "'Oslo' for 3 days"}]

    completion = client.chat.completions.parse(
        model=CHAT_MODEL, messages=messages, response_format=Forecast
    )

    assert completion.choices[0].message.parsed == Forecast(city="Oslo", days=3)


def test_its_stream_helper_collects_a_tool_call(client: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": "'Oslo' for 3 days"}]

    with client.chat.completions.stream(
        model=CHAT_MODEL, messages=messages, tools=[openai.pydantic_function_tool(Forecast)]
    ) as stream:
        completion = stream.get_final_completion()

    [call] = completion.choices[0].message.tool_calls or []
    assert call.function.parsed_arguments == Forecast(city="Oslo", days=3)


def test_its_response_stream_helper_collects_the_whole(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model=CHAT_MODEL, input="'Oslo' for 3 days", text_format=Forecast
    ) as stream:
        kinds = [event.type for event in stream]
        response = stream.get_final_response()

    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert response.output_parsed == Forecast(city="Oslo", days=3)


def test_it_sees_images_and_counts_them(client: openai.OpenAI) -> None:
    def ask(*parts: dict[str, Any]) -> int:
        content: Any = [{"type": "text", "text": "say 5 words"}, *parts]
        completion = client.chat.completions.create(
            model=CHAT_MODEL, messages=[{"role": "user", "content": content}]
        )
        assert completion.usage is not None
        return completion.usage.prompt_tokens

    image = {"type": "image_url", "image_url": {"url": PIXEL}}

    assert ask(image) - ask() == 85 + 170


def test_both_codings_of_an_embedding_are_the_same(client: openai.OpenAI) -> None:
    plain = client.embeddings.create(model=EMBEDDING_MODEL, input="Hi", encoding_format="float")
    coded = client.embeddings.create(model=EMBEDDING_MODEL, input="Hi")

    assert coded.data[0].embedding == pytest.approx(plain.data[0].embedding)


def test_raw_bytes_of_a_stream_are_events(client: openai.OpenAI) -> None:
    body = {
        "model": CHAT_MODEL,
        "messages": HELLO,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    with client.chat.completions.with_streaming_response.create(**body) as response:
        text = response.read().decode()

    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert blocks[-1] == "data: [DONE]"
    chunks = [json.loads(block.removeprefix("data: ")) for block in blocks[:-1]]
    with_usage = [chunk for chunk in chunks if chunk.get("usage")]
    assert with_usage == chunks[-1:]
    assert with_usage[0]["choices"] == []
