"""Requests made to fit an upstream, and rules that would change what they cost."""

from typing import Any

import orjson
import pytest

from proxy.errors import InvalidRule
from proxy.parsing.adapting import Adaptation

TO_NEW = {"rename": "max_tokens", "to": "max_completion_tokens"}


def adapt(rules: list[Any], *, reports_usage: bool = True, **body: Any) -> dict[str, Any]:
    adaptation = Adaptation.parse(rules, reports_usage=reports_usage)
    adapted: dict[str, Any] = orjson.loads(adaptation.apply(orjson.dumps(body)))
    return adapted


def test_it_drops_and_renames() -> None:
    body = adapt(
        [{"drop": "temperature"}, TO_NEW], model="m", temperature=0.7, max_tokens=9, seed=1
    )

    assert body == {"model": "m", "max_completion_tokens": 9, "seed": 1}


def test_it_leaves_the_very_bytes_where_nothing_is_to_be_done() -> None:
    body = b'{ "model" : "m" }'

    assert Adaptation.parse([]).apply(body) is body


def test_what_has_the_new_name_already_stays() -> None:
    body = adapt([TO_NEW], max_tokens=9, max_completion_tokens=5)

    assert body == {"max_completion_tokens": 5}


@pytest.mark.parametrize("foreign", [100_000, "all", True, None])
def test_no_maximum_under_another_name_raises_the_one_that_was_held_for(foreign: Any) -> None:
    body = adapt([TO_NEW], max_tokens=16, max_completion_tokens=foreign)

    assert body == {"max_completion_tokens": 16}


def test_it_does_not_ask_for_usage_where_none_is_reported() -> None:
    body = adapt([], reports_usage=False, model="m", stream_options={"include_usage": True})

    assert body == {"model": "m"}


def test_the_later_rule_wins() -> None:
    body = adapt([{"drop": "seed"}, {"rename": "seed", "to": "random_seed"}], seed=1)

    assert body == {"random_seed": 1}


@pytest.mark.parametrize(
    "rules",
    [
        None,
        {},
        "drop",
        ["temperature"],
        [{}],
        [{"drop": 7}],
        [{"drop": "Temperature"}],
        [{"drop": ""}],
        [{"drop": "a", "to": "b"}],
        [{"rename": "a"}],
        [{"rename": "a", "to": "a"}],
        [{"drop": "model"}],
        [{"drop": "messages"}],
        [{"drop": "n"}],
        [{"drop": "stream"}],
        [{"drop": "max_tokens"}],
        [{"drop": "max_output_tokens"}],
        [{"rename": "max_tokens", "to": "limit"}],
        [{"rename": "limit", "to": "max_tokens"}],
        [{"rename": "user", "to": "n"}],
        [{"drop": "a"}] * 51,
    ],
)
def test_it_refuses_rules_that_make_no_sense_or_change_the_cost(rules: Any) -> None:
    with pytest.raises(InvalidRule):
        Adaptation.parse(rules)
