"""Which fields of an upstream's answer pass."""

from typing import Any

import orjson
import pytest
from django.core.exceptions import ValidationError

from proxy.metering.answers import meter_completion
from proxy.metering.encodings import encoding_for
from proxy.metering.shapes import Label
from proxy.metering.usage import Usage
from proxy.models import check_answer_fields

ANSWER: dict[str, Any] = {
    "search_results": [{"url": "https://a.test"}],
    "citations": ["https://a.test"],
    "timings": {"host": "canary"},
    "choices": [{"index": 0, "message": {"content": "Hi"}, "stop_reason": 7, "seed": 1}],
    "usage": {"prompt_tokens": 8, "completion_tokens": 1, "num_search_queries": 2, "cost": 0.1},
}


def shown(*extras: str) -> Any:
    label = Label("gpt-4o", "req_1", extras=frozenset(extras))
    metered = meter_completion(
        orjson.dumps(ANSWER), encoding=encoding_for("gpt-4o"), label=label, kind="chat.completion"
    )
    return orjson.loads(metered.write(Usage(8, 1)))


def test_only_known_fields_pass() -> None:
    answer = shown()

    own = {"id", "object", "created", "model", "choices", "usage"}
    assert set(answer) == own | {"citations"}
    assert set(answer["choices"][0]) == {"index", "message", "logprobs", "finish_reason"}
    assert answer["usage"].keys().isdisjoint({"num_search_queries", "cost"})


def test_what_staff_add_passes_at_the_top_in_choices_and_in_usage() -> None:
    answer = shown("search_results", "stop_reason", "num_search_queries")

    assert answer["search_results"] == ANSWER["search_results"]
    assert answer["choices"][0]["stop_reason"] == 7
    assert answer["usage"]["num_search_queries"] == 2
    assert "timings" not in answer
    assert "seed" not in answer["choices"][0]


@pytest.mark.parametrize(
    "names",
    [
        *(["cost"], ["estimated_cost"], ["provider"], ["x_groq"], ["model"], ["usage"], ["error"]),
        *(["a b"], [7], [""], "citations", {"a": 1}, ["a"] * 51),
    ],
)
def test_staff_can_let_nothing_pass_that_tells_or_is_ours(names: object) -> None:
    with pytest.raises(ValidationError):
        check_answer_fields(names)


def test_staff_can_let_other_fields_pass() -> None:
    check_answer_fields(["search_results", "stop_reason"])
