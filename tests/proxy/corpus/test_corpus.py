"""Every row of the corpus through the API: what its client sees, and what is charged."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import orjson
import pytest

from billing.models import UsageRecord
from billing.upkeep.drain import drain
from proxy.database import in_database
from proxy.errors import UpstreamError
from proxy.metering.encodings import encoding_for
from proxy.metering.shapes import Label
from proxy.metering.streams import StreamMeter
from proxy.parsing.chat import ChatRequest
from proxy.serving.endpoints import ENDPOINTS
from proxy.upstreams.providers.setup import set_up_provider
from tests.conformance.specification import problems
from tests.proxy.conftest import SHORT, Api, Customer
from tests.proxy.corpus.rows import CHAT, EMBEDDINGS, OURS, RESPONSES, ROWS, Row
from tests.proxy.corpus.upstream import serve_rows

# What no client may find in an answer: names, hosts, keys, prices.
NEVER = (b"Canary", b"0.0314159", b"31415900", b"fp_", b"native_finish")
SCHEMAS = {
    (CHAT, True): "CreateChatCompletionStreamResponse",
    (CHAT, False): "CreateChatCompletionResponse",
    (RESPONSES, True): "ResponseStreamEvent",
    (RESPONSES, False): "Response",
    (EMBEDDINGS, False): "CreateEmbeddingResponse",
}
AT_ONCE = 8
UPSTREAMS = (
    "anthropic",
    "azure",
    "deepseek",
    "gemini",
    "groq",
    "mistral",
    "moonshot",
    "openai",
    "openrouter",
    "vllm",
    "xai",
)


@pytest.fixture
async def sold(api: Api) -> AsyncIterator[Api]:
    """Each row's upstream is a model of the row's name."""

    def sell(base_url: str) -> None:
        names = {row.name: row.name for row in ROWS}
        set_up_provider(
            "acme", base_url=base_url, secret="sk-Canary", models=names, has_default_price=True
        )

    async with serve_rows(ROWS) as base_url:
        await in_database(sell, base_url)
        await api.runtime.catalogue.refresh()
        yield api


@pytest.fixture
def rich(settings: Any, make_customer: Any) -> Customer:
    settings.DEFAULT_REQUESTS_PER_MINUTE = 10_000
    customer: Customer = make_customer("rich@example.com", credits=10_000_000)
    return customer


async def ask_all(api: Api, customer: Customer, rows: list[Row]) -> dict[str, httpx.Response]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(row: Row) -> tuple[str, httpx.Response]:
        stream = {"stream": True} if row.stream else {}
        if row.stream and row.endpoint != RESPONSES:
            stream |= {"stream_options": {"include_usage": True}}  # type: ignore[dict-item]
        async with turns:
            return row.name, await api.ask(
                customer, row.endpoint, row.name, **(_LONG[row.endpoint] | stream | row.asks)
            )

    return dict(await asyncio.gather(*map(ask, rows)))


# Room for what the rows report.
_LONG: dict[str, dict[str, Any]] = {
    name: {key: 2_000 for key in short if "max" in key} for name, short in SHORT.items()
}


def events_of(response: httpx.Response) -> list[Any]:
    data = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    return [orjson.loads(line) for line in data if line != "[DONE]"]


def seen(row: Row, response: httpx.Response) -> str:
    """Say what the client sees, in the corpus' words."""
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}
        return str(response.status_code)
    if row.stream:
        events = events_of(response)
        text = "".join(map(_piece, events))
        is_broken = "error" in events[-1] or events[-1].get("type") in {"error", "response.failed"}
        assert is_broken or response.content.endswith(
            b"data: [DONE]\n\n" if row.endpoint != RESPONSES else b"\n\n"
        )
        return f"{text}, error" if is_broken else text
    answer = response.json()
    if row.endpoint == RESPONSES:
        return str(answer["output"][0]["content"][0]["text"])
    if row.endpoint == EMBEDDINGS:
        return str(answer["data"][0]["embedding"])
    choice = answer["choices"][0]
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


def _piece(event: dict[str, Any]) -> str:
    if event.get("type") == "response.output_text.delta":
        return str(event["delta"])
    choices = event.get("choices") or [{}]
    return choices[0].get("text") or choices[0].get("delta", {}).get("content") or ""


def wrong_shapes(row: Row, response: httpx.Response) -> list[str]:
    schema = SCHEMAS.get((row.endpoint, row.stream))
    if response.status_code != 200 or schema is None:
        return []
    payloads = events_of(response) if row.stream else [response.json()]
    return [p for each in payloads if "error" not in each for p in problems(schema, each)]


async def test_every_upstream_is_seen_and_charged_as_the_corpus_says(
    sold: Api, rich: Customer
) -> None:
    answers = await ask_all(sold, rich, ROWS)
    await sold.idle()
    await in_database(drain)
    records = {
        record.model_name: record
        for record in await in_database(lambda: list(UsageRecord.objects.all()))
    }

    wrong: dict[str, Any] = {}
    for row in ROWS:
        response, record = answers[row.name], records.get(row.name)
        paid = record and (record.prompt_tokens, record.completion_tokens, record.source)
        if (seen(row, response), paid) != (row.sees, row.paid):
            wrong[row.name] = (seen(row, response), paid, "not", row.sees, row.paid)
        elif record and record.charged_credits != record.prompt_tokens + record.completion_tokens:
            wrong[row.name] = f"charged {record.charged_credits}"
        elif leaks := [word for word in NEVER if word in response.content]:
            wrong[row.name] = (leaks, response.text)
        elif missing := [part for part in row.shows if part not in response.text]:
            wrong[row.name] = (missing, response.text)
        elif problems_found := wrong_shapes(row, response):
            wrong[row.name] = problems_found
    assert not wrong, "\n".join(f"{name}: {told}" for name, told in wrong.items())
    assert len(ROWS) >= 80
    assert (await rich.balance()).held_credits == 0


def test_what_a_named_upstream_says_has_a_source() -> None:
    named = [row.name for row in ROWS if row.source == OURS and _speaks_a_dialect(row.name)]

    assert named == []


def _speaks_a_dialect(name: str) -> bool:
    return name.endswith("-context") or (
        name.startswith("usage-") and any(upstream in name for upstream in UPSTREAMS)
    )


async def test_openai_python_reads_every_chat_of_the_corpus(sold: Api, rich: Customer) -> None:
    wrong = {}
    async with openai.AsyncOpenAI(
        api_key=rich.secret, base_url=f"{sold.base_url}/v1", max_retries=0
    ) as client:
        for row in ROWS:
            if row.endpoint == CHAT and row.status == 200:
                told = await read_with_sdk(client, row)
                if told != row.sees:
                    wrong[row.name] = told

    assert not wrong, "\n".join(f"{name}: {told}" for name, told in wrong.items())


async def read_with_sdk(client: openai.AsyncOpenAI, row: Row) -> str:
    """Read a chat as programs do, and say what came of it in the corpus' words."""
    asked: dict[str, Any] = {"model": row.name, "messages": SHORT[CHAT]["messages"]}
    text = ""
    try:
        if not row.stream:
            answer = await client.chat.completions.create(**asked)
            return answer.choices[0].message.content or ""
        async for chunk in await client.chat.completions.create(**asked, stream=True):
            text += chunk.choices[0].delta.content or ""
    except openai.APIStatusError as error:
        return str(error.status_code)
    except openai.APIError:
        return f"{text}, error"
    return text


def meter_for(row: Row) -> StreamMeter:
    [endpoint] = [each for each in ENDPOINTS if each.name == row.endpoint]
    asked = {"model": row.name, "stream": True} | SHORT[row.endpoint]
    request = endpoint.request.parse(asked) if row.endpoint != CHAT else ChatRequest.parse(asked)
    return endpoint.meter_stream(request, Label(row.name, "req_1"))


def rebuilt(row: Row, *pieces: bytes) -> tuple[bytes, bool, str, int]:
    """Feed a stream in pieces, and return all that depends on it."""
    meter = meter_for(row)
    relayed = b"".join(map(meter.feed, pieces)) + meter.flush()
    failure: UpstreamError | None = None if meter.is_complete else meter.failure
    count = meter.estimate(prompt_tokens=0).completion_tokens
    return relayed, meter.is_complete, str(failure), count


STREAMS = [row for row in ROWS if row.stream and row.status == 200 and b"created" in row.body]


@pytest.mark.parametrize("row", STREAMS, ids=lambda row: row.name)
def test_a_stream_is_rebuilt_alike_split_at_every_byte(row: Row) -> None:
    encoding_for(row.name)
    expected = rebuilt(row, row.body)

    assert rebuilt(row, *(row.body[at : at + 1] for at in range(len(row.body)))) == expected
    for at in range(1, len(row.body), 1 + len(row.body) // 400):
        assert rebuilt(row, row.body[:at], row.body[at:]) == expected, at
