"""pydantic-ai's tool loop, over chat completions and over responses."""

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from target import API_KEY, BASE_URL, CHAT_MODEL

PROVIDER = OpenAIProvider(base_url=BASE_URL, api_key=API_KEY)


class Forecast(BaseModel):
    """What an agent has to come back with."""

    city: str
    days: int


@pytest.fixture(params=[OpenAIChatModel, OpenAIResponsesModel], ids=["chat", "responses"])
def model(request: pytest.FixtureRequest) -> Any:
    make: Callable[..., Any] = request.param
    return make(CHAT_MODEL, provider=PROVIDER)


async def test_it_answers_in_words(model: Any) -> None:
    result = await Agent(model).run("say 7 words")

    assert len(result.output.split()) == 7
    assert result.usage.output_tokens == 7


async def test_a_tool_loop_ends_in_words(model: Any) -> None:
    calls: list[tuple[str, int]] = []
    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str, days: int) -> str:
        """Look up the weather of a city."""
        calls.append((city, days))
        return "Rain"

    result = await agent.run("How is 'Oslo' for 3 days?")

    assert calls == [("Oslo", 3)]
    assert result.output
    assert result.usage.requests == 2


async def test_several_tools_are_called_at_once(model: Any) -> None:
    called: set[str] = set()
    agent = Agent(model)

    @agent.tool_plain
    def get_time(city: str) -> str:
        """Look up the time."""
        called.add("get_time")
        return "noon"

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Look up the weather."""
        called.add("get_weather")
        return "Rain"

    await agent.run("Call get_time and get_weather for 'Oslo'")

    assert called == {"get_time", "get_weather"}


async def test_a_tool_loop_ends_in_an_object(model: Any) -> None:
    agent = Agent(model, output_type=Forecast)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """Look up the weather of a city."""
        return "Rain"

    result = await agent.run("How is 'Oslo' for 3 days?")

    assert result.output == Forecast(city="Oslo", days=3)


async def test_a_native_schema_is_honoured(model: Any) -> None:
    from pydantic_ai import NativeOutput

    result = await Agent(model, output_type=NativeOutput(Forecast)).run("'Oslo' for 3 days")

    assert result.output == Forecast(city="Oslo", days=3)


async def test_it_streams_words_and_their_usage(model: Any) -> None:
    async with Agent(model).run_stream("say 7 words") as result:
        parts = [part async for part in result.stream_text(delta=True, debounce_by=None)]

    assert len("".join(parts).split()) == 7
    assert len(parts) > 1
    assert result.usage.output_tokens == 7


async def test_a_conversation_goes_on(model: Any) -> None:
    agent = Agent(model)
    first = await agent.run("say 5 words")

    second = await agent.run("say 6 words", message_history=first.all_messages())

    assert len(second.output.split()) == 6
    assert second.usage.input_tokens > first.usage.input_tokens
