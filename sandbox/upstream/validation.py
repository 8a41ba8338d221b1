"""Checks of a JSON body's fields, strict as OpenAI's: `true` is not an integer."""

from collections.abc import Iterable
from typing import Any

from sandbox.upstream.errors import ApiError

Payload = dict[str, Any]

JSON_NAMES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def missing(param: str) -> ApiError:
    """The 400 for a required parameter that is not there."""
    return ApiError(
        400,
        f"Missing required parameter: '{param}'.",
        param=param,
        code="missing_required_parameter",
    )


def wrong_type(param: str, expected: str, value: object) -> ApiError:
    """The 400 for a value of another type."""
    return ApiError(
        400,
        f"Invalid type for '{param}': expected {expected}, but got {JSON_NAMES[type(value)]} "
        "instead.",
        param=param,
        code="invalid_type",
    )


def wrong_value(param: str, expected: str, value: object) -> ApiError:
    """The 400 for a value of the right type that is not allowed."""
    return ApiError(
        400,
        f"Invalid value for '{param}': expected {expected}, but got {value!r} instead.",
        param=param,
        code="invalid_value",
    )


def check_type(payload: Payload, param: str, kind: type) -> Any:
    """The value if it is of this JSON type, None if it is null or absent."""
    value = payload.get(param)
    if value is not None and type(value) is not kind:
        raise wrong_type(param, JSON_NAMES[kind], value)
    return value


def check_integer(payload: Payload, param: str, minimum: int, maximum: int) -> int | None:
    """The integer if it is within its bounds, None if it is null or absent."""
    value: int | None = check_type(payload, param, int)
    if value is not None and not minimum <= value <= maximum:
        raise wrong_value(param, f"an integer from {minimum} to {maximum}", value)
    return value


def check_number(payload: Payload, param: str, minimum: float, maximum: float) -> float | None:
    """The number if it is within its bounds, None if it is null or absent."""
    value = payload.get(param)
    if value is None:
        return None
    if type(value) not in (int, float):
        raise wrong_type(param, "a decimal", value)
    if not minimum <= value <= maximum:
        raise wrong_value(param, f"a decimal from {minimum} to {maximum}", value)
    return float(value)


def check_choice(payload: Payload, param: str, choices: Iterable[str]) -> str | None:
    """The string if it is one of these, None if it is null or absent."""
    value: str | None = check_type(payload, param, str)
    if value is not None and value not in choices:
        raise wrong_value(param, "one of " + ", ".join(choices), value)
    return value
