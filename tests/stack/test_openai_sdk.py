"""The official Python SDK against the running product, with all its defaults but the base URL."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from tests.stack.shop import Customer, Shop

pytestmark = pytest.mark.stack

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Say 12 words."}]


class Wire:
    """Opens SDK clients and counts what they send."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.sent: list[str] = []
        self._clients: list[openai.OpenAI] = []

    def open(self, secret: str) -> openai.OpenAI:
        client = openai.OpenAI(
            api_key=secret,
            base_url=self.base_url,
            http_client=openai.DefaultHttpxClient(
                event_hooks={"request": [self._note]}, trust_env=False
            ),
        )
        self._clients.append(client)
        return client

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def _note(self, request: Any) -> None:
        # The SDK's own requests: httpx's, or its successor's.
        self.sent.append(f"{request.method} {request.url.path}")


@pytest.fixture
def wire(shop: Shop) -> Iterator[Wire]:
    wire = Wire(f"{shop.stack.url}/v1")
    yield wire
    wire.close()


@pytest.fixture
def alice(shop: Shop) -> Customer:
    """Alice has 10,000 credits; gpt-4 costs 3 per prompt token and 6 per completion token."""
    return shop.open_account(credits=10_000)


@pytest.fixture
def sdk(wire: Wire, alice: Customer) -> openai.OpenAI:
    return wire.open(alice.secret)


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def test_it_completes_and_charges_what_it_reports(
    sdk: openai.OpenAI, shop: Shop, alice: Customer
) -> None:
    answer = sdk.chat.completions.create(model="gpt-4", messages=HELLO)

    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert len((answer.choices[0].message.content or "").split()) == 12
    assert shop.settled(alice) == 10_000 - (3 * answer.usage.prompt_tokens + 6 * 12)


def test_it_answers_with_a_request_id_and_the_charge(
    sdk: openai.OpenAI, shop: Shop, alice: Customer
) -> None:
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-4", messages=HELLO)

    shop.settled(alice)
    [receipt] = shop.receipts(alice)
    assert raw.request_id == receipt.request_id
    assert raw.headers["x-tokenproxy-credits-charged"] == str(receipt.charged_credits)


def test_it_streams_without_usage_unless_asked(
    sdk: openai.OpenAI, shop: Shop, alice: Customer
) -> None:
    stream = sdk.chat.completions.create(model="gpt-4", messages=HELLO, stream=True)
    chunks = list(stream)

    assert len(text_of(chunks).split()) == 12
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    assert shop.settled(alice) < 10_000


def test_it_streams_with_one_last_usage_chunk_when_asked(
    sdk: openai.OpenAI, shop: Shop, alice: Customer
) -> None:
    stream = sdk.chat.completions.create(
        model="gpt-4", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)

    usage = chunks[-1].usage
    assert usage is not None
    assert chunks[-1].choices == []
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert usage.completion_tokens == 12
    assert shop.settled(alice) == 10_000 - (3 * usage.prompt_tokens + 6 * 12)


def test_it_lists_and_retrieves_models(sdk: openai.OpenAI) -> None:
    listed = [model.id for model in sdk.models.list()]
    model = sdk.models.retrieve("gpt-4o-mini")

    assert {"gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-3.5-turbo"} <= set(listed)
    assert (model.id, model.object) == ("gpt-4o-mini", "model")


def test_it_raises_authentication_error_for_a_bad_key(wire: Wire, alice: Customer) -> None:
    mistyped = alice.secret[:-1] + ("a" if alice.secret[-1] != "a" else "b")

    with pytest.raises(openai.AuthenticationError) as caught:
        wire.open(mistyped).chat.completions.create(model="gpt-4", messages=HELLO)

    assert caught.value.code == "invalid_api_key"
    assert len(wire.sent) == 1


def test_it_raises_not_found_for_an_unknown_model(
    sdk: openai.OpenAI, shop: Shop, alice: Customer
) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.chat.completions.create(model="gpt-imaginary", messages=HELLO)

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert shop.settled(alice) == 10_000


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("temperature", 3), ("max_tokens", -1), ("n", 0), ("messages", []), ("stream", "yes")],
)
def test_it_raises_bad_request_that_names_the_parameter(
    sdk: openai.OpenAI, shop: Shop, alice: Customer, parameter: str, value: object
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="gpt-4", messages=HELLO, extra_body={parameter: value})

    assert caught.value.param == parameter
    assert caught.value.type == "invalid_request_error"
    assert shop.settled(alice) == 10_000


def test_it_sends_one_request_when_the_balance_is_spent(wire: Wire, shop: Shop) -> None:
    bob = shop.open_account(credits=3)

    with pytest.raises(openai.RateLimitError) as caught:
        wire.open(bob.secret).chat.completions.create(model="gpt-4", messages=HELLO)

    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert "/packs/" in caught.value.message
    assert wire.sent == ["POST /v1/chat/completions"]
    assert shop.balance(bob)["available"] == 3


def test_it_sends_again_when_the_rate_limit_is_reached(wire: Wire, shop: Shop) -> None:
    # All of a minute's 30 requests at once if unused, and then one every 2 seconds.
    bob = shop.open_account(credits=10_000, requests_per_minute=30)
    statuses = [shop.chat(bob, model="gpt-4o-mini").status_code]
    while statuses[-1] == 200:
        statuses.append(shop.chat(bob, model="gpt-4o-mini").status_code)

    answer = wire.open(bob.secret).chat.completions.create(model="gpt-4o-mini", messages=HELLO)

    assert answer.usage is not None
    assert statuses[-1] == 429
    assert len(statuses) > 30
    assert len(wire.sent) > 1


def test_it_raises_when_the_upstream_breaks_a_stream(
    sdk: openai.OpenAI, wire: Wire, shop: Shop, alice: Customer
) -> None:
    shop.sell(routes={"breaks": ["fault-cut-3"]})
    chunks: list[ChatCompletionChunk] = []

    stream = sdk.chat.completions.create(model="breaks", messages=HELLO, stream=True)
    with pytest.raises(openai.APIError):
        chunks.extend(stream)

    assert len(text_of(chunks).split()) == 3
    left = shop.settled(alice)
    [receipt] = shop.receipts(alice)
    assert (receipt.outcome, receipt.completion_tokens) == ("broken", 3)
    assert left == 10_000 - (receipt.prompt_tokens + 3)
    assert len(wire.sent) == 1


def test_it_asks_again_after_an_upstreams_error_and_pays_once(
    sdk: openai.OpenAI, wire: Wire, shop: Shop, alice: Customer
) -> None:
    shop.sell(routes={"hiccups": ["fault-flaky-1"]})

    answer = sdk.chat.completions.create(model="hiccups", messages=HELLO)

    assert answer.usage is not None
    assert len(wire.sent) == 2
    assert shop.settled(alice) == 10_000 - (answer.usage.prompt_tokens + 12)
    assert len(shop.receipts(alice)) == 1
