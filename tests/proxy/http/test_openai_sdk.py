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
