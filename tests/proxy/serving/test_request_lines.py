"""One line of the log for each request: what it tells, and what it never does."""

import json
from typing import Any

import pytest

from common.request_lines import request_line
from proxy.api.handler import ApiHandler
from proxy.serving.runtime import Runtime
from tests.linked import linked
from tests.log_lines import Lines
from tests.proxy.canned import json_answer, serve_canned
from tests.proxy.conftest import HELLO, PATHS, Api, Customer

# A word that customers say, and one that a model does.
PROMPT = "canaryprompt"
ANSWER = "canaryanswer"
ASKED: dict[str, dict[str, Any]] = {
    "chat.completions": {"messages": [{"role": "user", "content": PROMPT}]},
    "completions": {"prompt": PROMPT},
    "embeddings": {"input": PROMPT},
    "responses": {"input": PROMPT},
}
ENDINGS = ("gpt-4", "fault-401", "fault-429-quota", "fault-500", "fault-cut-5")

# Of a request of any kind.
ALWAYS = {"event", "level", "timestamp", "surface", "method", "status", "ms", "request_id"}
OF_A_KEY = ALWAYS | {"route", "api_key_id", "wallet_id"}
OF_A_CALL = OF_A_KEY | {
    *("model", "provider", "attempts", "is_stream", "held_credits", "outcome"),
    *("charged_credits", "first_byte_ms", "prompt_tokens", "completion_tokens"),
}


async def test_a_call_is_one_line_that_says_what_it_cost(
    api: Api, alice: Customer, request_lines: Lines
) -> None:
    answer = await api.chat(alice, max_tokens=30)
    await api.idle()

    (line,) = request_lines()
    usage = answer.json()["usage"]
    assert set(line) == OF_A_CALL
    assert line["request_id"] == answer.headers["x-request-id"]
    assert (line["status"], line["outcome"], line["is_stream"]) == (200, "completed", False)
    assert (line["api_key_id"], line["model"]) == (alice.key.pk, "gpt-4")
    assert (line["provider"], line["route"]) == ("sandbox", "v1/chat/completions")
    assert line["prompt_tokens"] == usage["prompt_tokens"]
    assert line["completion_tokens"] == usage["completion_tokens"]
    assert line["charged_credits"] == usage["total_tokens"]
    assert line["first_byte_ms"] <= line["ms"]


async def test_a_call_whose_answer_could_not_be_sent_is_one_line_that_says_what_it_cost(
    runtime: Runtime, alice: Customer, request_lines: Lines
) -> None:
    body = {"model": "gpt-4", "messages": HELLO, "max_tokens": 30}
    scope = {
        "type": "http",
        "method": "POST",
        "path": PATHS["chat.completions"],
        "query_string": b"",
        "headers": [(b"authorization", f"Bearer {alice.secret}".encode())],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

    async def send(_: Any) -> None:
        raise RuntimeError("What a server says of an answer that it can't send.")

    with request_line(scope, surface="api"):
        await linked(ApiHandler(lambda: runtime))(scope, receive, send)
    await runtime.inflight.wait_empty()
    await runtime.settler.drain(5)

    (line,) = request_lines()
    record = await alice.record()
    assert record is not None
    assert (line["outcome"], line["charged_credits"]) == ("completed", record.charged_credits)
    assert record.charged_credits > 0


async def test_a_stream_is_one_line_once_it_has_ended(
    api: Api, alice: Customer, request_lines: Lines
) -> None:
    await api.chat(alice, stream=True, max_tokens=30)
    await api.idle()

    (line,) = request_lines()
    assert set(line) == OF_A_CALL
    assert (line["status"], line["outcome"], line["is_stream"]) == (200, "completed", True)


@pytest.mark.parametrize(
    ("path", "model", "told"),
    [
        ("chat/completions", "gpt-4", (400, "missing_required_parameter")),
        ("embeddings", PROMPT, (400, "missing_required_parameter")),
        (f"chat/{PROMPT}", PROMPT, (404, "not_found")),
    ],
)
async def test_a_refusal_is_one_line_with_its_reason(  # noqa: PLR0917  # pytest's
    api: Api, alice: Customer, request_lines: Lines, path: str, model: str, told: Any
) -> None:
    await api.client.post(f"/v1/{path}", headers=alice.headers, json={"model": model})

    (line,) = request_lines()
    assert (line["status"], line["error"]) == told
    assert set(line) <= OF_A_KEY | {"error"}


async def test_a_call_that_no_upstream_takes_says_so(
    api: Api, alice: Customer, request_lines: Lines
) -> None:
    await api.sell("fault-500")

    await api.chat(alice, "fault-500")

    (line,) = request_lines()
    assert (line["outcome"], line["status"]) == ("void", 502)
    assert line["attempts"] >= 1
    assert "charged_credits" not in line


async def test_a_stranger_is_one_line_without_what_they_sent(
    api: Api, request_lines: Lines
) -> None:
    secret = f"Bearer tp_{PROMPT}"
    await api.client.get(f"/v1/models/{PROMPT}?q={PROMPT}", headers={"authorization": secret})

    (line,) = request_lines()
    assert (line["status"], line["error"]) == (401, "invalid_api_key")
    assert PROMPT not in str(line)


async def test_no_line_has_a_secret_a_prompt_or_an_answer(
    api: Api, alice: Customer, request_lines: Lines
) -> None:
    await api.sell(*ENDINGS[1:])
    for endpoint, asked in ASKED.items():
        for model in ENDINGS:
            body = {"model": model, **asked, "user": PROMPT}
            await api.client.post(PATHS[endpoint], headers=alice.headers, json=body)
    choice = {"index": 0, "message": {"content": ANSWER}, "finish_reason": "stop"}
    async with serve_canned(json_answer(200, {"id": ANSWER, "choices": [choice]})) as canned:
        await api.send_to(canned.base_url)
        await api.chat(alice)
    await api.idle()

    lines = request_lines()

    assert len(lines) == len(ASKED) * len(ENDINGS) + 1
    for word in (PROMPT, ANSWER, alice.secret, alice.user.email, canned.base_url):
        assert word not in str(lines)
