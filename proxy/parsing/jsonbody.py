"""Turn the bytes of a request into a JSON object, strictly and in linear time.

The body that is priced must be the one that is sent, so a body that could be read in two ways is
refused: a duplicate key (parsers disagree on which one counts), an integer that would silently
become a float, NaN or a lone surrogate.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

from proxy.errors import InvalidRequest, PayloadTooLarge

DEFAULT_MAX_BYTES = 20 * 1024 * 1024
DEFAULT_MAX_DEPTH = 100

_BOM = b"\xef\xbb\xbf"
_TOO_DEEP = "The JSON body is nested too deeply: the limit is {} levels."
# orjson turns an integer outside [-2**63, 2**64) into a float; its literal has 19 digits or more.
_SMALLEST_LOST_INTEGER = 2.0**63
# Matches only from the start of a number and does not backtrack (`*+`), so that a run of digits is
# read once, however long it is.
_LONG_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{19}\d*+(?![.eE])")


def parse(
    body: bytes, *, max_bytes: int = DEFAULT_MAX_BYTES, max_depth: int = DEFAULT_MAX_DEPTH
) -> dict[str, Any]:
    """Parse a request body. Raises InvalidRequest or PayloadTooLarge."""
    if len(body) > max_bytes:
        raise PayloadTooLarge(f"The request body is larger than {max_bytes} bytes.")
    payload = _load(body, max_depth=max_depth)
    if type(payload) is not dict:
        raise InvalidRequest("The JSON body must be an object.", code="invalid_json")
    keys, has_vast_floats = _inspect(payload, max_depth=max_depth)
    # Each key in the body has a colon. If there are as many colons as parsed keys, strings
    # included, no key is a duplicate. If there are more, count again without the strings.
    if body.count(b":") != keys and _skeleton(body).count(b":") != keys:
        _refuse_duplicate(body)
    if has_vast_floats and any(map(_is_lost, _LONG_INTEGER.findall(_skeleton(body)))):
        raise InvalidRequest("An integer in the JSON body exceeds 64 bits.", code="invalid_json")
    return payload


def _load(body: bytes, *, max_depth: int) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # orjson itself stops at 1024 levels, before its recursion does harm.
        if error.msg.startswith("depth limit"):
            raise InvalidRequest(_TOO_DEEP.format(max_depth), code="invalid_json") from None
        raise InvalidRequest(
            f"The request body is not valid JSON: {_reason(body, error)}", code="invalid_json"
        ) from None


def _reason(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "it is empty."
    if body.startswith(_BOM):
        return "it starts with a byte order mark."
    return f"{error.msg} (line {error.lineno}, column {error.colno})."


def _inspect(payload: dict[str, Any], *, max_depth: int) -> tuple[int, bool]:
    """Count the keys of all objects, and tell whether a float may have been an integer."""
    keys = 0
    has_vast_floats = False
    level: list[Any] = [payload]
    for _ in range(max_depth):
        deeper: list[Any] = []
        for container in level:
            if type(container) is dict:
                keys += len(container)
                values: Any = container.values()
            else:
                values = container
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    deeper.append(value)
                elif kind is float and abs(value) >= _SMALLEST_LOST_INTEGER:
                    has_vast_floats = True
        if not deeper:
            return keys, has_vast_floats
        level = deeper
    raise InvalidRequest(_TOO_DEEP.format(max_depth), code="invalid_json")


def _skeleton(body: bytes) -> bytes:
    """Empty every string, so that only structure and numbers are left.

    Removing backslashes in pairs first is exact, because every run of them starts an escape.
    """
    unescaped = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b'""'.join(unescaped.split(b'"')[::2])


def _is_lost(literal: bytes) -> bool:
    # Python refuses to read integers of more than 4300 digits; so long ones are not read.
    return len(literal) > 25 or not -(2**63) <= int(literal) < 2**64


def _refuse_duplicate(body: bytes) -> NoReturn:
    def refuse(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _value in pairs:
            if key in seen:
                raise InvalidRequest(
                    f"The JSON body has the key `{key[:100]}` twice in one object.",
                    param=key[:100],
                    code="invalid_json",
                )
            seen.add(key)
        return {}

    # Parsed only to name the key; the body is valid and shallow by now. Integers stay text.
    json.loads(body, object_pairs_hook=refuse, parse_int=str)
    raise InvalidRequest("The JSON body has a key twice in one object.", code="invalid_json")
