"""The official Python SDK against the API, unchanged but for its base URL."""

from collections.abc import AsyncIterator, Callable

import openai
import pytest

from proxy.database import in_database
from tests.proxy.conftest import Api, Customer

MESSAGES: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "Hello!"}
]


@pytest.fixture
async def sdk(api: Api, alice: Customer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=alice.secret, base_url=f"{api.base_url}/v1") as client:
        yield client


async def test_it_completes(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.chat.completions.create(model="gpt-4", messages=MESSAGES, max_tokens=12)

    assert answer.usage is not None
    assert len((answer.choices[0].message.content or "").split()) == answer.usage.completion_tokens


async def test_it_streams(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="gpt-4",
        messages=MESSAGES,
        max_tokens=12,
        stream=True,
        stream_options={"include_usage": True},
    )

    chunks = [chunk async for chunk in stream]

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage is not None
    assert len(text.split()) == chunks[-1].usage.completion_tokens == 12


async def test_it_raises_when_a_stream_breaks(api: Api, sdk: openai.AsyncOpenAI) -> None:
    await api.sell("fault-cut-3")
    stream = await sdk.chat.completions.create(model="fault-cut-3", messages=MESSAGES, stream=True)

    with pytest.raises(openai.APIError, match="not available"):
        async for _ in stream:
            pass


async def test_it_asks_once_when_the_balance_is_spent(
    api: Api, make_customer: Callable[..., Customer]
) -> None:
    bob = await in_database(make_customer, "bob@example.com", credits=3)
    async with openai.AsyncOpenAI(api_key=bob.secret, base_url=f"{api.base_url}/v1") as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="gpt-4", messages=MESSAGES)

    assert caught.value.code == "insufficient_quota"
    assert api.paths == ["/v1/chat/completions"]


async def test_it_names_an_unknown_key_and_model(api: Api, sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown_model:
        await sdk.chat.completions.create(model="gpt-99", messages=MESSAGES)
    async with openai.AsyncOpenAI(api_key="tp_x", base_url=f"{api.base_url}/v1") as stranger:
        with pytest.raises(openai.AuthenticationError) as unknown_key:
            await stranger.models.list()

    assert unknown_model.value.code == "model_not_found"
    assert unknown_key.value.code == "invalid_api_key"
    assert unknown_key.value.request_id is not None


async def test_it_lists_and_retrieves_models(sdk: openai.AsyncOpenAI) -> None:
    listed = [model.id async for model in await sdk.models.list()]
    model = await sdk.models.retrieve("gpt-4")

    assert listed == [model.id] == ["gpt-4"]


async def test_it_completes_a_text(sdk: openai.AsyncOpenAI) -> None:
    answer = await sdk.completions.create(model="gpt-4", prompt=["Hello!", "Hi!"], max_tokens=5)

    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 10


async def test_it_embeds(sdk: openai.AsyncOpenAI) -> None:
    # The SDK asks for base64 unless told otherwise, and unpacks it.
    packed = await sdk.embeddings.create(model="gpt-4", input=["Hello!", "Hi!"], dimensions=8)
    plain = await sdk.embeddings.create(model="gpt-4", input=[[9906, 0], [9906]], dimensions=8)

    assert [len(each.embedding) for each in packed.data] == [8, 8]
    assert plain.usage.prompt_tokens == plain.usage.total_tokens == 3


async def test_it_responds(sdk: openai.AsyncOpenAI) -> None:
    response = await sdk.responses.create(model="gpt-4", input="say 20 words")

    assert (response.status, response.model) == ("completed", "gpt-4")
    assert len(response.output_text.split()) == 20
    assert response.usage is not None
    assert response.usage.output_tokens == 20


async def test_it_streams_a_response(sdk: openai.AsyncOpenAI) -> None:
    async with sdk.responses.stream(model="gpt-4", input="say 20 words") as stream:
        kinds = {event.type async for event in stream}
        response = await stream.get_final_response()

    assert {"response.created", "response.output_text.delta", "response.completed"} <= kinds
    assert len(response.output_text.split()) == 20


async def test_it_raises_when_the_stream_of_a_response_breaks(
    api: Api, sdk: openai.AsyncOpenAI
) -> None:
    await api.sell("fault-cut-3")
    stream = await sdk.responses.create(model="fault-cut-3", input="Hello!", stream=True)

    with pytest.raises(openai.APIError, match="not available"):
        async for _ in stream:
            pass


async def test_its_retry_after_a_time_out_joins_the_first_attempt(
    api: Api, alice: Customer, sdk: openai.AsyncOpenAI
) -> None:
    slowly: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "[[tokens=12]] [[tps=20]]"}
    ]

    answer = await sdk.with_options(timeout=0.4, max_retries=3).chat.completions.create(
        model="gpt-4", messages=slowly
    )

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert len(api.paths) > 1
    assert (await api.upstream.served())["received"] == 1
