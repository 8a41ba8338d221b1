"""Check one value of a request by OpenAI's types, strictly: `true` is not an integer.

Each check returns the value, or None if it is absent or null. It raises InvalidRequest, which names
the parameter as the client wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from proxy.errors import InvalidRequest

_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def fail(message: str, param: str, code: str) -> NoReturn:
    raise InvalidRequest(message, param=param, code=code)


def check_boolean(values: Mapping[str, Any], name: str, *, within: str = "") -> bool | None:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        _fail_type(value, within + name, "a boolean")
    return value


def check_integer(
    values: Mapping[str, Any],
    name: str,
    *,
    at_least: int | None = None,
    at_most: int | None = None,
    within: str = "",
) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    # Not isinstance: a bool is an int to Python, not to a client.
    if type(value) is not int:
        _fail_type(value, within + name, "an integer")
    _check_range(value, within + name, at_least, at_most)
    return value


def check_number(
    values: Mapping[str, Any],
    name: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    within: str = "",
) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    if type(value) is not int and type(value) is not float:
        _fail_type(value, within + name, "a number")
    _check_range(value, within + name, at_least, at_most)
    return value


def check_string(
    values: Mapping[str, Any], name: str, *, nullable: bool = True, within: str = ""
) -> str:
    """Check a string; "" if it is absent, or null where that is allowed."""
    where = within + name
    if name not in values and not nullable:
        fail(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    value = values.get(name)
    if value is None and nullable:
        return ""
    if not isinstance(value, str):
        _fail_type(value, where, "a string")
    return value


def as_object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _fail_type(value, where, "an object")
    return value


def as_list(value: object, where: str, *, expected: str = "an array") -> list[Any]:
    if not isinstance(value, list):
        _fail_type(value, where, expected)
    return value


def _fail_type(value: object, where: str, expected: str) -> NoReturn:
    got = _KINDS.get(type(value), "something else")
    fail(
        f"Invalid type for '{where}': expected {expected}, but got {got} instead.",
        where,
        "invalid_type",
    )


def _check_range(value: float, where: str, at_least: float | None, at_most: float | None) -> None:
    if at_least is not None and value < at_least:
        fail(
            f"Invalid value for '{where}': {value} is below the minimum of {at_least}.",
            where,
            "integer_below_min_value" if type(value) is int else "decimal_below_min_value",
        )
    if at_most is not None and value > at_most:
        fail(
            f"Invalid value for '{where}': {value} is above the maximum of {at_most}.",
            where,
            "integer_above_max_value" if type(value) is int else "decimal_above_max_value",
        )
