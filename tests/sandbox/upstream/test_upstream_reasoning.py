from typing import Any

import pytest

from tests.sandbox.upstream.emulator import Emulator

USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize("model", ["o3", "o4-mini", "gpt-5", "acme/gpt-5-mini"])
@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"max_tokens": 100}, "max_tokens", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"temperature": 0.7}, "temperature", "unsupported_value"),
        ({"top_p": 0.5}, "top_p", "unsupported_value"),
    ],
)
def test_reasoning_models_refuse_what_others_take(
    emulator: Emulator, model: str, fields: dict[str, Any], param: str, code: str
) -> None:
    refused = emulator.post(model=model, **fields)

    error = refused.json()["error"]
    assert (refused.status_code, error["param"], error["code"]) == (400, param, code)
    assert emulator.post(**fields).status_code == 200


def test_reasoning_models_take_the_default_temperature(emulator: Emulator) -> None:
    assert emulator.post(model="o3", temperature=1, max_completion_tokens=99).status_code == 200


@pytest.mark.parametrize(
    ("effort", "thought"), [(None, 32), ("none", 0), ("low", 16), ("high", 64)]
)
def test_thoughts_are_part_of_the_completion(
    emulator: Emulator, effort: str | None, thought: int
) -> None:
    usage = emulator.post("say 5 words", model="o3", reasoning_effort=effort).json()["usage"]

    assert usage["completion_tokens_details"]["reasoning_tokens"] == thought
    assert usage["completion_tokens"] == thought + 5


def test_thoughts_may_leave_no_room_for_words(emulator: Emulator) -> None:
    completion = emulator.post("say 5 words", model="o3", max_completion_tokens=20).json()

    [choice] = completion["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "length")
    assert completion["usage"]["completion_tokens"] == 20


def test_streamed_thoughts_are_delivered_with_the_end(emulator: Emulator) -> None:
    events = emulator.stream("say 5 words [[reasoning=7]]", **USAGE)

    assert events[-2]["usage"]["completion_tokens"] == 7 + 5
    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert totals["completion_tokens_delivered"] == totals["completion_tokens_generated"] == 12


def test_a_cut_stream_delivers_no_thoughts(emulator: Emulator) -> None:
    emulator.stream("say 5 words [[reasoning=7]]", model="fault-error-event-2")

    totals = emulator.wait_for(lambda totals: totals["open"] == 0)
    assert totals["completion_tokens_delivered"] == 2
