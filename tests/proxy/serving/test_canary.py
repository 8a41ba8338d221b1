"""Secrets of ours and words of customers: where they must not be found, whatever goes wrong."""

import logging
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from django.db import connection

from proxy.database import in_database
from tests.proxy.canned import json_answer, serve_canned, stream_answer
from tests.proxy.conftest import PATHS, UPSTREAM_KEY, Api, Customer

# All is well, or the upstream says more of itself than it should, or what is charged is unclear.
ENDINGS = (
    "gpt-4",
    "fault-401",
    "fault-402-quota",
    "fault-429-quota",
    "fault-500",
    "fault-redirect",
    "fault-error-event-5",
    "fault-failed-event-5",
    "fault-cut-5",
    "fault-negative-usage",
)
# A word that customers say, and one that a model does.
PROMPT = "canaryprompt"
ANSWER = "canaryanswer"
ORGANISATION = "org-SandboxUpstreamCanary"
UPSTREAM_MODEL = "canary-model-0613"
ASKED: dict[str, dict[str, Any]] = {
    "chat.completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "completions": {"prompt": PROMPT},
    "embeddings": {"input": PROMPT},
    "responses": {"input": PROMPT},
}


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """Everything that is logged, at any level, with its fields."""
    lines: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f"{record.getMessage()} {record.__dict__}")

    handler = Collect(logging.DEBUG)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield lines
    root.setLevel(level)
    root.removeHandler(handler)


WHERE_PROVIDERS_ARE = {("proxy_provider", "base_url"), ("proxy_providerkey", "origin")}


def database_texts() -> str:
    """Return every value of every text column, but for where providers are."""
    texts: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema()"
            " AND data_type IN ('text', 'character varying', 'jsonb', 'json', 'bytea')"
        )
        for table, column in cursor.fetchall():
            if (table, column) in WHERE_PROVIDERS_ARE:
                continue
            cursor.execute(f'SELECT "{column}"::text FROM "{table}"')  # noqa: S608  # our own names
            texts += [value for (value,) in cursor.fetchall() if value]
    return "\n".join(texts)


def text_of(response: httpx.Response) -> str:
    return f"{response.headers} {response.text}"


async def test_no_secret_and_no_prompt_leaves_its_place(
    api: Api, alice: Customer, log_lines: list[str]
) -> None:
    await api.sell(*ENDINGS[1:])
    seen = []
    for endpoint, asked in ASKED.items():
        for model in ENDINGS:
            for stream in [False, True][: 1 if endpoint == "embeddings" else 2]:
                body = {"model": model, **asked} | ({"stream": True} if stream else {})
                response = await api.client.post(PATHS[endpoint], headers=alice.headers, json=body)
                seen.append(text_of(response))
    await api.idle()
    await alice.receipt("")

    answers, logged = "\n".join(seen), "\n".join(log_lines)
    stored = await in_database(database_texts)
    upstream_host = api.upstream.url.removeprefix("http://")
    for secret in (UPSTREAM_KEY, UPSTREAM_KEY[-12:], ORGANISATION, upstream_host):
        assert secret not in answers
        assert secret not in logged
        assert secret not in stored
    assert alice.secret not in answers + logged + stored
    assert PROMPT not in logged + stored
    # That they would be found, if they were there.
    assert "upstream_failed" in logged
    assert "usage_parked" in logged
    assert alice.user.email in stored


@pytest.mark.parametrize("status", [400, 404, 413, 415, 422])
async def test_no_refusal_of_a_request_says_who_refused(
    api: Api, alice: Customer, status: int, log_lines: list[str]
) -> None:
    said = f"{PROMPT}: org {ORGANISATION}, key {UPSTREAM_KEY}, model {UPSTREAM_MODEL}"
    error = {"message": said, "type": ORGANISATION, "param": ORGANISATION, "code": UPSTREAM_KEY}
    seen = []
    async with serve_canned(json_answer(status, {"error": error})) as canned:
        await api.send_to(canned.base_url)

        for endpoint in PATHS:
            seen.append(await api.ask(alice, endpoint))
            if endpoint != "embeddings":
                seen.append(await api.ask(alice, endpoint, stream=True))

    host = canned.base_url.removeprefix("http://").removesuffix("/v1")
    stored = await in_database(database_texts)
    everywhere = "\n".join([*map(text_of, seen), *log_lines, stored])
    assert {answer.status_code for answer in seen} == {503 if status == 404 else status}
    for secret in (UPSTREAM_KEY, ORGANISATION, UPSTREAM_MODEL, host, PROMPT):
        assert secret not in everywhere


@pytest.mark.parametrize("endpoint", PATHS)
async def test_the_upstreams_name_for_a_model_does_not_leave(
    api: Api, alice: Customer, endpoint: str, log_lines: list[str]
) -> None:
    choice = {"index": 0, "message": {"content": ANSWER}, "text": ANSWER, "finish_reason": "stop"}
    answer = {
        "id": "x",
        "model": UPSTREAM_MODEL,
        "status": "completed",
        "choices": [choice],
        "data": [],
        "output": [{"type": "message", "content": [{"type": "output_text", "text": ANSWER}]}],
    }
    async with serve_canned(json_answer(200, answer)) as canned:
        await api.send_to(canned.base_url)

        response = await api.ask(alice, endpoint)

    assert response.status_code == 200
    assert response.json()["model"] == "gpt-4"
    assert UPSTREAM_MODEL not in text_of(response)
    stored = await in_database(database_texts)
    assert ANSWER not in "\n".join(log_lines) + stored


@pytest.mark.parametrize("endpoint", ["chat.completions", "completions"])
async def test_the_upstreams_name_for_a_model_does_not_leave_in_streams(
    api: Api, alice: Customer, endpoint: str
) -> None:
    chunks = [
        f'{{"model":"{UPSTREAM_MODEL}","choices":[{{"index":0,"delta":{{"content":"a"}}}}]}}',
        f'{{"model":"{UPSTREAM_MODEL}","choices":[],"usage":{{"prompt_tokens":1,'
        '"completion_tokens":1}}',
        "[DONE]",
    ]
    async with serve_canned(stream_answer(*chunks)) as canned:
        await api.send_to(canned.base_url)

        response = await api.ask(
            alice, endpoint, stream=True, stream_options={"include_usage": True}
        )

    assert response.content.count(b'"model":"gpt-4"') == 2
    assert UPSTREAM_MODEL not in text_of(response)


# What gateways add of who served a request, and what we paid.
TOLD = {"provider": "AcmeCanary", "x_groq": {"id": "req_AcmeCanary"}}
COST = {"cost": 0.0314, "cost_details": {"upstream_inference_cost": 0.0314}, "is_byok": False}


@pytest.mark.parametrize("endpoint", PATHS)
async def test_who_served_and_what_it_cost_us_does_not_leave(
    api: Api, alice: Customer, endpoint: str
) -> None:
    choice = {"index": 0, "message": {"content": "Hi"}, "text": "Hi", "finish_reason": "stop"}
    usage = {"prompt_tokens": 9, "input_tokens": 9, "completion_tokens": 1, "output_tokens": 1}
    answer = {
        "id": "x",
        "model": "m",
        "status": "completed",
        "choices": [choice],
        "data": [],
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
        "metadata": {"provider": "mine"},
        "usage": usage | {"total_tokens": 10} | COST,
    }
    async with serve_canned(json_answer(200, answer | TOLD)) as canned:
        await api.send_to(canned.base_url)

        response = await api.ask(alice, endpoint)

    assert "Canary" not in response.text
    assert "0.0314" not in response.text
    assert response.json()["usage"].get("cost") is None
    assert response.json()["usage"]["total_tokens"] == (2 if endpoint == "embeddings" else 10)
    assert response.json().get("metadata", {}) == {}


async def test_who_served_and_what_it_cost_us_does_not_leave_in_chunks(
    api: Api, alice: Customer
) -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m"} | TOLD
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    choice = {"index": 0, "delta": {"content": '"provider":"mine"'}, "finish_reason": "stop"}
    chunks = [
        orjson.dumps(head | {"choices": [choice]}).decode(),
        orjson.dumps(head | {"choices": [], "usage": usage | COST}).decode(),
        "[DONE]",
    ]
    async with serve_canned(stream_answer(*chunks)) as canned:
        await api.send_to(canned.base_url)

        response = await api.chat(alice, stream=True, stream_options={"include_usage": True})

    events = [line.removeprefix("data: ") for line in response.text.split("\n\n")][:-2]
    assert "Canary" not in response.text
    assert "0.0314" not in response.text
    assert [orjson.loads(event)["choices"] for event in events] == [[choice], []]
    assert orjson.loads(events[1])["usage"].items() >= usage.items()


async def test_who_served_and_what_it_cost_us_does_not_leave_in_events(
    api: Api, alice: Customer
) -> None:
    usage = {"input_tokens": 9, "output_tokens": 1, "total_tokens": 10}
    begun: dict[str, Any] = {
        "id": "r",
        "status": "in_progress",
        "model": "m",
        "output": [],
        "usage": None,
    } | TOLD
    ended = begun | {"status": "completed", "usage": usage | COST}
    said = {"type": "response.output_text.delta", "delta": "Hi", "item_id": "i"} | TOLD
    events = [
        {"type": "response.created", "sequence_number": 0, "response": begun} | TOLD,
        said | {"sequence_number": 1, "output_index": 0, "content_index": 0},
        {"type": "response.completed", "sequence_number": 2, "response": ended} | TOLD,
    ]
    async with serve_canned(stream_answer(*(orjson.dumps(e).decode() for e in events))) as canned:
        await api.send_to(canned.base_url)

        response = await api.ask(alice, "responses", stream=True)

    last = orjson.loads(response.text.rstrip().rpartition("data: ")[2])
    assert response.text.count("data: ") == 3
    assert "Canary" not in response.text
    assert "0.0314" not in response.text
    assert last["response"]["usage"].items() >= usage.items()
