from pathlib import Path
from typing import Any

import httpx
import pytest

import sandbox.upstream
from sandbox.upstream import answers
from sandbox.upstream.errors import ApiError
from sandbox.upstream.faults import FAULTS, Fault, fault_of_model
from tests.sandbox.upstream.emulator import API_KEY, Emulator, body, texts

README = Path(sandbox.upstream.__file__).with_name("README.md").read_text()
USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("fault-cut-5", Fault("cut", 5)),
        ("acme/fault-cut-5", Fault("cut", 5)),
        ("gpt-4o-fault-cut", Fault("cut", 3)),
        ("fault-429-7", Fault("429", 7)),
        ("fault-402-quota", Fault("402-quota")),
        ("fault-slow-first-byte-0.5", Fault("slow-first-byte", 0.5)),
        ("gpt-4o", None),
        ("default-500", None),
    ],
)
def test_a_models_name_chooses_the_fault(model: str, fault: Fault | None) -> None:
    assert fault_of_model(model) == fault


@pytest.mark.parametrize(
    "model", ["fault-", "fault-nothing", "fault-cut-x", "fault-cut--1", "fault-500-2", "fault-cut-"]
)
def test_a_fault_with_a_typo_is_no_model(model: str) -> None:
    with pytest.raises(ApiError) as caught:
        fault_of_model(model)

    assert (caught.value.status, caught.value.code) == (404, "model_not_found")


def test_a_speed_may_follow_a_fault() -> None:
    assert answers.split_speed("fault-stall-5-20tps") == ("fault-stall-5", 20)


@pytest.mark.parametrize("name", FAULTS)
def test_the_readme_describes_every_fault(name: str) -> None:
    number = "" if FAULTS[name].default is None else "-N"

    assert f"| `{name}{number}` |" in README


def test_it_hangs_up_before_any_byte(emulator: Emulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        emulator.post(model="fault-refuse")

    assert (emulator.tally()["accepted"], emulator.tally()["refused"]) == (0, 1)


@pytest.mark.parametrize(
    ("model", "status", "kind", "code"),
    [
        ("fault-500", 500, "server_error", None),
        ("fault-503", 503, "server_error", None),
        ("fault-429", 429, "requests", "rate_limit_exceeded"),
        ("fault-401", 401, "invalid_request_error", "invalid_api_key"),
        ("fault-402-quota", 402, "insufficient_quota", "insufficient_quota"),
    ],
)
def test_it_answers_an_error_instead(
    emulator: Emulator, model: str, status: int, kind: str, code: str | None
) -> None:
    response = emulator.post(model=model)

    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (status, kind, code)
    assert emulator.requests()[0]["status"] == status
    assert emulator.tally()["accepted"] == 0


def test_a_rate_limit_says_when_to_come_back(emulator: Emulator) -> None:
    assert emulator.post(model="fault-429-7").headers["retry-after"] == "7"


def test_errors_carry_the_canaries_of_leak_tests(emulator: Emulator) -> None:
    assert "org-SandboxUpstreamCanary" in emulator.post(model="fault-402-quota").text
    assert API_KEY in emulator.post(model="fault-401").text


def test_it_answers_a_page_instead_of_json(emulator: Emulator) -> None:
    response = emulator.post(model="fault-not-json")

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")


def test_it_notices_who_follows_a_redirect(emulator: Emulator) -> None:
    response = emulator.post(model="fault-redirect")

    assert response.status_code == 307
    assert emulator.tally()["redirects_followed"] == 0
    emulator.client.post(response.headers["location"], json={})
    assert emulator.tally()["redirects_followed"] == 1


def test_a_slow_first_byte_is_an_answer_after_all(emulator: Emulator) -> None:
    [(_, first_at_s), *_] = emulator.timed_stream(model="fault-slow-first-byte-0.3")

    assert 0.3 <= first_at_s < 1
    assert emulator.wait_for(lambda totals: totals["open"] == 0)["completed"] == 1


def test_a_flaky_conversation_succeeds_after_its_failures(emulator: Emulator) -> None:
    tries = [emulator.post("A", model="fault-flaky-2").status_code for _ in range(4)]
    other = emulator.post("B", model="fault-flaky-2").status_code

    assert tries == [500, 500, 200, 200]
    assert other == 500


def test_a_stream_is_cut_after_so_many_chunks(emulator: Emulator) -> None:
    events: list[Any] = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        events.extend(
            event for event, _ in emulator.timed_stream("say 9 words", model="fault-cut-5")
        )

    assert len(texts(events)) == 5
    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert (totals["failed"], totals["completion_tokens_delivered"]) == (1, 5)
    assert totals["usage_reports"] == 0


def test_a_json_answer_is_cut_in_the_middle_of_its_body(emulator: Emulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        emulator.post("say 9 words", model="fault-cut")

    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert (totals["failed"], totals["usage_reports"]) == (1, 0)
    assert totals["completion_tokens_generated"] == 9
    assert totals["completion_tokens_delivered"] == 0


@pytest.mark.parametrize(
    ("fault", "start"),
    [("error-event", '{"error":{"message":'), ("malformed-event", '{"id":"chat')],
)
def test_a_broken_json_answer_is_complete_on_the_wire(
    emulator: Emulator, fault: str, start: str
) -> None:
    response = emulator.post("say 9 words", model=f"fault-{fault}")

    assert response.status_code == 200
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.text.startswith(start)
    assert '"usage"' not in response.text
    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert (totals["failed"], totals["completion_tokens_delivered"]) == (1, 0)


@pytest.mark.parametrize("stream", [True, False])
def test_a_stalled_answer_falls_silent(emulator: Emulator, stream: bool) -> None:
    payload = body("say 9 words", model="fault-stall-2", stream=stream)
    parts: list[bytes] = []

    with (
        pytest.raises(httpx.ReadTimeout),
        emulator.client.stream(
            "POST", "/v1/chat/completions", json=payload, timeout=0.3
        ) as response,
    ):
        parts.extend(response.iter_raw())

    data = b"".join(parts)
    assert data
    assert b"[DONE]" not in data
    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert totals["cut_by_client"] == 1
    assert totals["completion_tokens_delivered"] == (2 if stream else 0)


def test_an_error_event_ends_the_stream_without_done(emulator: Emulator) -> None:
    events = emulator.stream("say 9 words", model="fault-error-event-4")

    assert len(texts(events)) == 4
    assert events[-1]["error"]["type"] == "server_error"
    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert (totals["failed"], totals["completion_tokens_delivered"]) == (1, 4)


def test_a_malformed_event_stands_between_good_ones(emulator: Emulator) -> None:
    events = emulator.stream("say 9 words", model="fault-malformed-event-4", **USAGE)

    assert isinstance(events[5], str)
    assert len(texts(events)) == 9
    assert events[-2]["usage"]["completion_tokens"] == 9
    assert events[-1] == "[DONE]"


def test_a_huge_event_is_as_large_as_asked(emulator: Emulator) -> None:
    events = emulator.stream("say 9 words", model="fault-huge-event-64", **USAGE)

    assert len(events[2]["obfuscation"]) == 64 * 1024
    assert len(texts(events)) == 9
    assert emulator.wait_for(lambda totals: totals["open"] == 0)["usage_reports"] == 1


@pytest.mark.parametrize("stream", [True, False])
def test_every_byte_can_be_a_chunk(emulator: Emulator, stream: bool) -> None:
    payload = body("say 2 words", model="fault-byte-chunks", stream=stream)

    with emulator.client.stream("POST", "/v1/chat/completions", json=payload) as response:
        assert response.headers["transfer-encoding"] == "chunked"
        parts = list(response.iter_raw())

    # The client may read two that arrived together, but never more than was sent.
    assert len(parts) > 100
    assert sum(map(len, parts)) / len(parts) < 8
    assert emulator.wait_for(lambda totals: totals["open"] == 0)["completed"] == 1


def reported(emulator: Emulator, fault: str, **fields: Any) -> tuple[Any, Any]:
    """The usage that JSON and stream report under a fault."""
    model = f"fault-{fault}"
    json_usage = emulator.post("say 5 words", model=model, **fields).json().get("usage")
    events = emulator.stream("say 5 words", model=model, **fields, **USAGE)
    stream_usage = events[-2].get("usage") if events[-2]["choices"] == [] else None
    return json_usage, stream_usage


def test_usage_can_be_missing(emulator: Emulator) -> None:
    assert reported(emulator, "no-usage") == (None, None)
    assert emulator.wait_for(lambda totals: totals["open"] == 0)["usage_reports"] == 0


@pytest.mark.parametrize(
    ("fault", "prompt", "completion", "cached"),
    [
        ("zero-usage", 0, 0, 0),
        ("negative-usage", 11, -5, 0),
        ("string-usage", "11", "5", 0),
        ("cached-over-prompt", 11, 5, 12),
        ("usage-over-max-10", 11, 20 + 10, 0),
    ],
)
def test_usage_can_be_impossible(
    emulator: Emulator, fault: str, prompt: object, completion: object, cached: int
) -> None:
    for usage in reported(emulator, fault, max_tokens=20):
        assert usage["prompt_tokens"] == prompt
        assert usage["completion_tokens"] == completion
        assert usage["prompt_tokens_details"]["cached_tokens"] == cached

    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    # What was delivered stays what it was.
    assert totals["completion_tokens_delivered"] == 2 * 5


def test_a_rule_strikes_the_next_requests_only(emulator: Emulator) -> None:
    emulator.set_faults({"fault": "fault-503", "next": 2})

    statuses = [emulator.post().status_code for _ in range(4)]

    assert statuses == [503, 503, 200, 200]
    [rule] = emulator.client.get("/control/faults").json()["rules"]
    assert (rule["next"], rule["applied"]) == (0, 2)


def test_a_rule_with_a_chance_replays_with_its_seed(emulator: Emulator) -> None:
    runs = []
    for seed in (7, 7, 8):
        emulator.set_faults({"fault": "500", "probability": 0.5, "seed": seed})
        runs.append([emulator.post().status_code for _ in range(24)])

    assert set(runs[0]) == {200, 500}
    assert runs[0] == runs[1] != runs[2]


def test_a_rule_may_be_for_one_model_and_the_name_comes_first(emulator: Emulator) -> None:
    emulator.set_faults(
        [{"fault": "500", "model": "gpt-4"}, {"fault": "503", "model": "fault-429"}]
    )

    models = ["gpt-4", "gpt-4o", "fault-429"]

    assert [emulator.post(model=model).status_code for model in models] == [500, 200, 429]


@pytest.mark.parametrize(
    "rules",
    [
        "500",
        {},
        {"fault": "nothing"},
        {"fault": 500},
        {"fault": "500", "next": 0},
        {"fault": "500", "probability": 1.5},
        {"fault": "500", "chance": 0.5},
        [{"fault": "500"}, {"fault": "nothing"}],
    ],
)
def test_a_wrong_rule_changes_nothing(emulator: Emulator, rules: object) -> None:
    emulator.set_faults({"fault": "503"})

    refused = emulator.set_faults(rules)

    assert refused.status_code == 400
    [rule] = emulator.client.get("/control/faults").json()["rules"]
    assert rule["fault"] == "503"


def test_no_rules_end_all_faults(emulator: Emulator) -> None:
    emulator.set_faults({"fault": "503"})
    emulator.set_faults([])

    assert emulator.post().status_code == 200
