"""Check plain input: a text, token array, or list of either, as completions and embeddings take."""

from __future__ import annotations

from typing import NoReturn

from proxy.parsing.schema import as_list, fail

# OpenAI's limit for embeddings; the prompts of a completion have the same here.
MAX_INPUTS = 2_048
EXPECTED = "a string, an array of strings, an array of tokens or an array of token arrays"


def check_inputs(value: object, where: str, *, may_be_empty: bool = False) -> object:
    """Return the input, checked. `may_be_empty` allows texts without a character."""
    if isinstance(value, str):
        _check_text(value, where, may_be_empty=may_be_empty)
        return value
    items = as_list(value, where, expected=EXPECTED)
    if not items:
        fail(f"'{where}' must not be empty.", where, "empty_array")
    if type(items[0]) is int:
        _check_tokens(items, where)
        return value
    if len(items) > MAX_INPUTS:
        fail(f"'{where}' must hold at most {MAX_INPUTS} inputs.", where, "array_above_max_length")
    for index, item in enumerate(items):
        _check_item(item, f"{where}[{index}]", like=items[0], may_be_empty=may_be_empty)
    return value


def count_inputs(value: object) -> int:
    """Count the inputs. A text or a token array is one; a list of these has one for each item."""
    if isinstance(value, list) and type(value[0]) is not int:
        return len(value)
    return 1


def _check_item(item: object, where: str, *, like: object, may_be_empty: bool) -> None:
    if isinstance(like, str) and isinstance(item, str):
        _check_text(item, where, may_be_empty=may_be_empty)
    elif isinstance(like, list) and isinstance(item, list):
        if not item:
            fail(f"'{where}' must not be empty.", where, "empty_array")
        _check_tokens(item, where)
    else:
        _fail_type(where)


def _check_text(text: str, where: str, *, may_be_empty: bool) -> None:
    if not text and not may_be_empty:
        fail(f"'{where}' must not be an empty string.", where, "invalid_value")


def _check_tokens(tokens: list[object], where: str) -> None:
    for index, token in enumerate(tokens):
        if type(token) is not int:
            _fail_type(f"{where}[{index}]")
        if token < 0:
            at = f"{where}[{index}]"
            fail(f"'{at}' must not be negative.", at, "integer_below_min_value")


def _fail_type(where: str) -> NoReturn:
    fail(f"Invalid type for '{where}': expected {EXPECTED}.", where, "invalid_type")
