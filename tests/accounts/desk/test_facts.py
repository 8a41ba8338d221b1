"""What is kept as JSON is read a line for each value."""

from typing import Any

import pytest

from accounts.desk.facts import NOTHING, facts, lines_of


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({}, []),
        ({"credits": 1_000}, [("credits", "1,000")]),
        ({"key_id": 1_000}, [("key id", "1000")]),
        (
            {"amount_cents": 1_050, "currency": "usd"},
            [("amount cents", "$10.50"), ("currency", "usd")],
        ),
        ({"amount_cents": 1_050}, [("amount cents", "1,050")]),
        ({"has_receipt": True, "error": None}, [("has receipt", "yes"), ("error", NOTHING)]),
        ({"keys": ["a", "b"]}, [("keys", "a, b")]),
        ({"ended": {"sessions": 2}}, [("ended, sessions", "2")]),
        (
            {"refunds": [{"amount_cents": 500, "currency": "eur"}]},
            [("refunds 1, amount cents", "€5.00"), ("refunds 1, currency", "eur")],
        ),
        (["a", {"b": 1}], [("1", "a"), ("2, b", "1")]),
        ("text", [("", "text")]),
    ],
)
def test_each_value_has_a_line(value: Any, lines: list[tuple[str, str]]) -> None:
    assert list(lines_of(value)) == lines


def test_the_json_is_behind_a_summary_and_nothing_in_it_is_an_element() -> None:
    shown = facts({"name": "<b>x</b>"})

    assert "<dt>name</dt><dd>&lt;b&gt;x&lt;/b&gt;</dd>" in shown
    assert "<details><summary>As it is kept</summary><pre" in shown
    assert "<b>" not in shown


@pytest.mark.parametrize("value", [{}, [], None])
def test_nothing_is_a_dash(value: Any) -> None:
    assert facts(value) == NOTHING


def test_what_is_long_is_cut() -> None:
    shown = facts({f"n{number}": "x" * 1_000 for number in range(500)})

    assert shown.count("<dt>") == 100
