"""Every ending of every endpoint: what the client sees, what is charged, what the receipt says."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from billing.models import UsageRecord
from proxy.metering.answers import FAILED
from tests.proxy.conftest import PATHS, Api, Customer, Sandbox, assert_envelope

WRITING = ["chat.completions", "completions", "responses"]
# How a stream ends that is whole.
MARKERS = (b"data: [DONE]", b"event: response.completed", b"event: response.incomplete")


@dataclass(frozen=True)
class Ended:
    """One ending as the client and the receipt tell of it."""

    status: int
    # What of the answer the client can see: all of it, an error in its place, or both in turn.
    seen: str
    outcome: str = ""
    source: str = ""
    # What was charged: nothing, the upstream's figures, or the prompt and what was delivered.
    paid: str = "nothing"


WHOLE = Ended(200, "answer", "completed", "reported", "reported")
COUNTED = Ended(200, "answer", "completed", "estimated", "delivered")
PARKED = Ended(200, "answer", "completed", "parked", "delivered")
FREE = Ended(200, "answer", "completed", "reported")
REFUSED = Ended(502, "error")
UNREADABLE = Ended(502, "error", "broken", "estimated")
BROKEN = Ended(200, "answer, error", "broken", "estimated", "delivered")
EMPTY = Ended(200, "answer, error", "broken", "estimated")

JSON_ENDINGS = {
    "gpt-4": WHOLE,
    "fault-byte-chunks": WHOLE,
    "fault-flaky-1": REFUSED,
    "fault-500": REFUSED,
    "fault-503": Ended(502, "error"),
    "fault-refuse": Ended(503, "error"),
    "fault-401": Ended(503, "error"),
    "fault-402-quota": Ended(503, "error"),
    "fault-429-quota": Ended(503, "error"),
    "fault-redirect": Ended(503, "error"),
    "fault-not-json": UNREADABLE,
    "fault-cut": UNREADABLE,
    "fault-malformed-event": UNREADABLE,
    "fault-no-usage": COUNTED,
    "fault-zero-usage": FREE,
    "fault-negative-usage": PARKED,
    "fault-string-usage": PARKED,
    "fault-cached-over-prompt": PARKED,
}
STREAM_ENDINGS = {
    "gpt-4": WHOLE,
    "fault-byte-chunks": WHOLE,
    "fault-500": REFUSED,
    "fault-refuse": Ended(503, "error"),
    "fault-402-quota": Ended(503, "error"),
    "fault-not-json": UNREADABLE,
    "fault-cut-5": BROKEN,
    "fault-cut-0": EMPTY,
    "fault-error-event-5": BROKEN,
    "fault-no-usage": COUNTED,
    "fault-zero-usage": FREE,
    "fault-negative-usage": PARKED,
    "fault-usage-over-max": PARKED,
    # Some upstreams send no end marker. The answer is whole if every choice says that it ended.
    "fault-no-done": WHOLE,
    # An event that is no JSON is the client's to read; what came around it is metered.
    "fault-malformed-event": WHOLE,
}
# The older completions open without an event of their own, so nothing at all had come.
DIFFERENT = {
    "completions": {"fault-cut-0": Ended(503, "error")},
    # A response says that it is whole in its last event alone.
    "responses": {"fault-no-done": BROKEN},
}


async def read_ending(
    api: Api, customer: Customer, endpoint: str, model: str, **body: Any
) -> Ended:
    """Call a model, and say how it ended for the client and for the balance."""
    before = (await customer.balance()).available_credits
    response = await api.ask(customer, endpoint, model, **body)
    await api.idle()
    record = await customer.receipt(response.headers["x-request-id"])
    balance = await customer.balance()
    paid = before - balance.available_credits
    assert balance.held_credits == 0
    assert paid == (record.charged_credits if record else 0)
    if record is None:
        return Ended(response.status_code, seen_of(response))
    assert (record.endpoint, record.is_stream) == (endpoint, bool(body))
    assert record.charged_credits <= record.held_credits
    return Ended(
        response.status_code,
        seen_of(response),
        record.outcome,
        record.source,
        await name_charge(api.upstream, record),
    )


def seen_of(response: httpx.Response) -> str:
    if response.headers["content-type"] == "application/json":
        return "error" if "error" in response.json() and not response.is_success else "answer"
    *_, last = response.content.rstrip().split(b"\n\n")
    if b'"error":{' in last:
        assert not any(marker in response.content for marker in MARKERS)
        return "answer, error"
    return "answer" if last.startswith(MARKERS) else "cut"


async def name_charge(upstream: Sandbox, record: UsageRecord) -> str:
    """Say by whose figures a request was charged; each costs a credit per token."""
    served = await upstream.served(record.request_id)
    assert record.charged_credits == record.prompt_tokens + record.completion_tokens
    if record.charged_credits == 0:
        return "nothing"
    assert record.prompt_tokens == served["prompt_tokens"]
    assert record.completion_tokens == served["completion_tokens_delivered"]
    return "reported" if record.source == "reported" else "delivered"


@pytest.mark.parametrize("endpoint", WRITING)
async def test_it_settles_every_ending_of_an_answer(
    api: Api, alice: Customer, endpoint: str
) -> None:
    await api.sell(*JSON_ENDINGS.keys() - {"gpt-4"})

    endings = {model: await read_ending(api, alice, endpoint, model) for model in JSON_ENDINGS}

    assert endings == JSON_ENDINGS


@pytest.mark.parametrize("endpoint", WRITING)
async def test_it_settles_every_ending_of_a_stream(
    api: Api, alice: Customer, endpoint: str
) -> None:
    await api.sell(*STREAM_ENDINGS.keys() - {"gpt-4"})

    endings = {
        model: await read_ending(api, alice, endpoint, model, stream=True)
        for model in STREAM_ENDINGS
    }

    assert endings == STREAM_ENDINGS | DIFFERENT.get(endpoint, {})


async def test_it_settles_every_ending_of_embeddings(api: Api, alice: Customer) -> None:
    # Their usage has no details that could contradict it.
    expected = JSON_ENDINGS | {"fault-cached-over-prompt": WHOLE}
    await api.sell(*expected.keys() - {"gpt-4"})

    endings = {model: await read_ending(api, alice, "embeddings", model) for model in expected}

    assert endings == expected


async def test_a_failed_response_is_a_failure_and_free(api: Api, alice: Customer) -> None:
    await api.sell("fault-failed-event-5")

    response = await api.ask(alice, "responses", "fault-failed-event-5")

    assert_envelope(response, code="upstream_unavailable")
    assert response.status_code == 502
    assert await alice.record() is None
    assert (await alice.balance()).available_credits == 10_000


async def test_it_tells_of_a_failed_response_without_the_upstreams_reason(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-failed-event-5")

    response = await api.ask(alice, "responses", "fault-failed-event-5", stream=True)

    record = await alice.record()
    failed = last_event(response)["response"]
    assert failed["status"] == "failed"
    assert failed["error"] == {"code": "server_error", "message": FAILED}
    assert failed["model"] == "fault-failed-event-5"
    assert record is not None
    assert (record.outcome, record.completion_tokens) == ("broken", 5)


async def test_it_ends_a_broken_response_with_an_error_of_its_own_shape(
    api: Api, alice: Customer
) -> None:
    await api.sell("fault-cut-5")

    response = await api.ask(alice, "responses", "fault-cut-5", stream=True)

    error = last_event(response)
    events = response.content.count(b"event: ")
    assert (error["type"], error["code"], error["param"]) == ("error", "upstream_unavailable", None)
    assert error["message"] == error["error"]["message"]
    assert error["sequence_number"] == events - 1


@pytest.mark.parametrize(
    ("endpoint", "slowly"),
    [
        ("completions", {"prompt": "[[tokens=200]] [[tps=20]]", "max_tokens": 300}),
        ("responses", {"input": "[[tokens=200]] [[tps=20]]", "max_output_tokens": 300}),
    ],
)
async def test_it_charges_what_was_delivered_to_a_client_that_leaves(
    api: Api, alice: Customer, endpoint: str, slowly: dict[str, Any]
) -> None:
    body = {"model": "gpt-4", "stream": True, **slowly}
    async with api.client.stream(
        "POST", PATHS[endpoint], headers=alice.headers, json=body
    ) as response:
        seen = b""
        async for piece in response.aiter_raw():
            seen += piece
            if seen.count(b"\n\n") >= 10:
                break

    async with asyncio.timeout(2):
        await api.idle()

    record = await alice.record()
    served = await api.upstream.served(response.headers["x-request-id"])
    assert record is not None
    assert (record.outcome, record.source) == ("client_left", "estimated")
    # A response opens with four events that have no text.
    assert 5 <= record.completion_tokens <= served["completion_tokens_delivered"] < 20
    assert record.charged_credits == served["prompt_tokens"] + record.completion_tokens
    assert served["cut_by_client"] == 1


def last_event(response: httpx.Response) -> Any:
    *_, last = response.content.rstrip().split(b"\n\n")
    return orjson.loads(last.partition(b"data: ")[2])
