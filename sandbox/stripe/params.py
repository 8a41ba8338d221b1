"""Parameters of one call: validated against the SDK's types, refused in Stripe's words."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from sandbox.stripe.errors import InvalidParameter
from sandbox.stripe.forms import Params, bracketed
from sandbox.stripe.strict_types import strict

Path = tuple[str | int, ...]

# Limits of https://docs.stripe.com/api/metadata
_METADATA_KEYS = 50
_METADATA_KEY_LENGTH = 40
_METADATA_VALUE_LENGTH = 500

# What is wrong first: a name nobody knows, something that is not there, then a bad value.
_RANK = {"extra_forbidden": 0, "missing": 1}


def validate(declared: Any, params: Params) -> Params:
    """Return the parameters with their declared types, or raise the first thing wrong."""
    try:
        typed: Params = _adapter(declared).validate_python(params)
    except ValidationError as error:
        raise _refusal(params, error.errors(include_url=False, include_context=True)) from error
    _check_metadata(typed)
    return typed


def refuse_unemulated(params: Params, emulated: frozenset[str]) -> None:
    """Refuse a parameter that Stripe knows and this emulator would have to ignore.

    `emulated` holds patterns such as `line_items[][quantity]`; one covers all beneath it.
    Switching a feature off (`automatic_tax[enabled]=false`) is always fine: none is on.
    """
    for path, value in _leaves(params):
        patterns = {_pattern(path[: end + 1]) for end in range(len(path))}
        if value is not False and not patterns & emulated:
            raise InvalidParameter(
                f"The sandbox does not emulate the parameter {bracketed(path)} yet.",
                code="parameter_not_emulated",
                param=bracketed(path),
            )


def refuse_empty(params: Params) -> None:
    """Refuse empty text where nothing exists yet that could be unset."""
    for path, value in _leaves(params):
        if value == "" and "metadata" not in path:
            raise InvalidParameter(
                f"You passed an empty string for '{bracketed(path)}'. We assume empty values are "
                f"an attempt to unset a parameter; however '{bracketed(path)}' cannot be unset. "
                f"You should remove '{bracketed(path)}' from your request or supply a non-empty "
                "value.",
                code="parameter_invalid_empty",
                param=bracketed(path),
            )


@cache
def _adapter(declared: Any) -> TypeAdapter[Any]:
    return TypeAdapter(strict(declared))


def _refusal(params: Params, errors: list[ErrorDetails]) -> InvalidParameter:
    located = [(_path(params, error), error) for error in errors]
    located.sort(key=lambda item: (_RANK.get(item[1]["type"], 2), -len(item[0]), _vague(item[1])))
    path, error = located[0]
    param = bracketed(path)
    match error["type"]:
        case "extra_forbidden":
            return InvalidParameter(
                f"Received unknown parameter: {param}", code="parameter_unknown", param=param
            )
        case "missing":
            return InvalidParameter(
                f"Missing required param: {param}.", code="parameter_missing", param=param
            )
        case "invalid_integer":
            return InvalidParameter(error["msg"], code="parameter_invalid_integer", param=param)
        case "literal_error":
            expected = error["ctx"]["expected"].replace("'", "")
            return InvalidParameter(f"Invalid {param}: must be one of {expected}", param=param)
    return InvalidParameter(error["msg"], param=param)


def _vague(error: ErrorDetails) -> int:
    """Rank a union's several complaints about one value: the most telling one first."""
    if error["type"] == "literal_error" and error["ctx"]["expected"] == "''":
        return 2
    return 1 if error["type"] == "invalid_object" else 0


def _path(params: Params, error: ErrorDetails) -> Path:
    """Return where an error is, without the tags pydantic adds for a union's members."""
    path: list[str | int] = []
    node: Any = params
    for segment in error["loc"]:
        if isinstance(node, dict) and str(segment) in node:
            path.append(segment)
            node = node[str(segment)]
    if error["type"] == "missing":
        path.append(error["loc"][-1])
    return tuple(path)


def _leaves(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(node, dict):
        for key, child in node.items():
            yield from _leaves(child, (*path, key))
    elif isinstance(node, list):
        for index, child in enumerate(node):
            yield from _leaves(child, (*path, index))
    else:
        yield path, node


def _pattern(path: Path) -> str:
    return bracketed(tuple("" if isinstance(segment, int) else segment for segment in path))


def _check_metadata(node: Any, path: Path = ()) -> None:
    if isinstance(node, list):
        for index, child in enumerate(node):
            _check_metadata(child, (*path, index))
    elif isinstance(node, dict):
        for key, child in node.items():
            if key == "metadata" and isinstance(child, dict):
                _check_metadata_pairs(child, (*path, key))
            else:
                _check_metadata(child, (*path, key))


def _check_metadata_pairs(pairs: dict[str, str], path: Path) -> None:
    param = bracketed(path)
    if len(pairs) > _METADATA_KEYS:
        raise InvalidParameter(
            f"Metadata can have up to {_METADATA_KEYS} keys; you passed {len(pairs)}.", param=param
        )
    for key, value in pairs.items():
        if len(key) > _METADATA_KEY_LENGTH:
            raise InvalidParameter(
                f"Metadata keys must be up to {_METADATA_KEY_LENGTH} characters long.", param=param
            )
        if len(value) > _METADATA_VALUE_LENGTH:
            raise InvalidParameter(
                f"Metadata values can have up to {_METADATA_VALUE_LENGTH} characters, but you "
                f"passed in a value that is {len(value)} characters.",
                param=bracketed((*path, key)),
            )
