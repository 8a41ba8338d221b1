"""Turn the bytes of a request into a JSON object, strictly and in linear time.

What it costs to parse and check a body grows with its elements more than with its bytes. So they
are counted first, at the speed of C, part by part while a large body arrives (`Outline`). A body of
OUTLINED_BYTES at most is parsed in milliseconds whatever it holds, and counted then.

The body that is priced must be the one that is sent, so a body that could be read in two ways is
refused: a duplicate key (parsers disagree on which one counts), an integer that would silently
become a float, NaN or a lone surrogate.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import orjson

from proxy.errors import InvalidRequest, PayloadTooLarge

DEFAULT_MAX_BYTES = 8 * 1024 * 1024
DEFAULT_MAX_DEPTH = 100
# A body up to here is parsed at once, whatever its elements are. Larger ones take a turn of their
# wallet's large work and a share of the process' memory.
SMALL_BYTES = 64 * 1024
# Larger ones take one of their key's requests per minute before they are read, in a round trip of
# its own. Most prompts of agents have 20 to 120 KB.
COUNTED_BYTES = 128 * 1024
# In a larger body a key that stands twice is not searched for, to be named.
NAMED_BYTES = 1024 * 1024
# Measured on one core: a message of a chat takes 3 µs from its bytes to its bound, a number of an
# embedding 0.05. Ten times the elements of any conversation that a model could read.
NARROW_CONTAINERS = 500
MAX_CONTAINERS = 20_000
MAX_STRINGS = 100_000
MAX_VALUES = 400_000
# A body up to here can't have too many strings, of two bytes at least, nor values.
OUTLINED_BYTES = 2 * MAX_STRINGS
# Of numbers, structure and spaces.
MAX_OUTLINE_BYTES = 4 * 1024 * 1024
# Of a larger body, the JSON that is written to check it is not kept until it is sent.
KEPT_BYTES = 1024 * 1024

_BOM = b"\xef\xbb\xbf"
_TOO_DEEP = "The JSON body is nested too deeply: the limit is {} levels."
# orjson turns an integer outside [-2**63, 2**64) into a float; its literal has 19 digits or more.
_SMALLEST_LOST_INTEGER = 2.0**63
# Matches only from the start of a number and does not backtrack (`*+`), so that a run of digits is
# read once, however long it is.
_LONG_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{19}\d*+(?![.eE])")
_CONTAINERS = frozenset({dict, list})
# The end of a key, or of what may be one. A quote behind a single backslash is inside of a string.
_KEY_END = re.compile(rb'"(?<![^\\]\\")[ \t\r\n]*+:')


class Body(dict[str, Any]):
    """A parsed body. `written` has the JSON of its objects and arrays, until it is sent."""

    written: Mapping[str, bytes] = MappingProxyType({})


def written_of(body: Mapping[str, Any]) -> Mapping[str, bytes]:
    """Return what is written of a body's fields already."""
    return body.written if isinstance(body, Body) else Body.written


def take_written(body: Mapping[str, Any]) -> Mapping[str, bytes]:
    """Return the same, and keep it no longer: an answer may take minutes."""
    written = written_of(body)
    if isinstance(body, Body):
        body.written = Body.written
    return written


class Elements:
    """How many of each kind a text has, with those inside of its strings."""

    def __init__(self) -> None:
        self._containers = self._quotes = self._values = self._size = 0

    def add(self, text: bytes, *, quotes: int | None = None) -> None:
        """Count those of the next part, which had so many quotes before strings were emptied."""
        self._containers += count_of(text, b"{", up_to=MAX_CONTAINERS + 1)
        self._containers += count_of(text, b"[", up_to=MAX_CONTAINERS + 1)
        if quotes is None:
            quotes = count_of(text, b'"', up_to=2 * MAX_STRINGS + 1)
        self._quotes += quotes
        self._values += count_of(text, b",", up_to=MAX_VALUES + 1)
        self._size += len(text)

    def find_excess(self) -> InvalidRequest | None:
        """Return the refusal of what there are too many of."""
        if self._quotes > 2 * MAX_STRINGS:
            return _too_many(MAX_STRINGS, "strings")
        if self._containers > MAX_CONTAINERS:
            return _too_many(MAX_CONTAINERS, "objects and arrays")
        if self._values > MAX_VALUES:
            return _too_many(MAX_VALUES, "values")
        if self._size > MAX_OUTLINE_BYTES:
            return _too_many(MAX_OUTLINE_BYTES, "bytes outside of strings")
        return None


class Outline:
    """A body with every string emptied, so that only structure and numbers are left.

    Its parts may come one after the other. Raises InvalidRequest as soon as there are too many
    elements, which is before they are parsed.

    Strings are emptied once there are too many signs of elements with those inside of strings, as
    no conversation has: that takes ten times as long as to count the signs.
    """

    def __init__(self, body: bytes = b"") -> None:
        # The parts whose strings are not emptied yet.
        self._waiting: list[bytes] = []
        self._signs = Elements()
        self._parts: list[bytes] = []
        self._elements = Elements()
        self._is_in_string = False
        # A backslash at the end of a part, whose escape goes on in the next one.
        self._tail = b""
        if body:
            self.add(body)

    def add(self, part: bytes) -> None:
        """Take the next part of the body."""
        self._waiting.append(part)
        self._signs.add(part)
        if self._signs.find_excess():
            self._empty_strings()

    def text(self) -> bytes:
        """Return what has come so far."""
        self._empty_strings()
        return b"".join(self._parts)

    def _empty_strings(self) -> None:
        waiting, self._waiting = self._waiting, []
        for part in waiting:
            self._empty_strings_of(part)

    def _empty_strings_of(self, part: bytes) -> None:
        # Backslashes go in pairs; what is left of a run escapes what follows it, maybe a quote. A
        # pattern would stop at each escape, and the server with it: half a second in 8 MB of them.
        part = (self._tail + part).replace(b"\\\\", b"").replace(b'\\"', b"")
        self._tail = b"\\" if part.endswith(b"\\") else b""
        # Split at one more than may be, so that no more pieces are made than of a body that passes.
        pieces = part.split(b'"', 2 * MAX_STRINGS + 1)
        outside = b'""'.join(pieces[self._is_in_string :: 2])
        quotes = len(pieces) - 1
        self._is_in_string ^= bool(quotes % 2)
        self._elements.add(outside, quotes=quotes)
        if excess := self._elements.find_excess():
            raise excess
        self._parts.append(outside)


def count_of(text: bytes, sign: bytes, *, up_to: int) -> int:
    """Count a sign in a text, up to a number.

    By what is left without it: of a sign that is rare, that takes a tenth of what `count` takes.
    """
    return len(text) - len(text.replace(sign, b"", up_to))


def is_wide(body: bytes) -> bool:
    """Tell whether a small body may have so many objects and arrays that it takes milliseconds."""
    most = NARROW_CONTAINERS + 1
    return count_of(body, b"{", up_to=most) + count_of(body, b"[", up_to=most) >= most


def _too_many(limit: int, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The JSON body has too many elements: the limit is {limit:,} {what}.",
        code="body_too_complex",
    )


def parse(
    body: bytes,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    max_depth: int = DEFAULT_MAX_DEPTH,
    outline: Outline | None = None,
) -> Body:
    """Parse a request body. Raises InvalidRequest or PayloadTooLarge.

    `outline` is the body's, if it was made while the body arrived.
    """
    if len(body) > max_bytes:
        raise PayloadTooLarge(f"The request body is larger than {max_bytes} bytes.")
    if outline is None and len(body) > OUTLINED_BYTES:
        outline = Outline(body)
    payload = _load(body, max_depth=max_depth)
    if type(payload) is not dict:
        raise InvalidRequest("The JSON body must be an object.", code="invalid_json")
    keys, has_vast_floats = _inspect(payload, max_depth=max_depth)
    parsed = Body(payload)
    if len(body) <= KEPT_BYTES:
        parsed.written = {
            name: orjson.dumps(value)
            for name, value in payload.items()
            if type(value) in _CONTAINERS
        }
    # Written as we would write it, as official SDKs do: then nothing was lost by reading it.
    if write(payload, payload, parsed.written) == body:
        return parsed
    # If no more can be keys than were parsed, none is a duplicate. Otherwise each key has a colon,
    # and they are counted without the strings.
    if len(_KEY_END.findall(body)) != keys and _text(body, outline).count(b":") != keys:
        _refuse_duplicate(body)
    if has_vast_floats and any(map(_is_lost, _LONG_INTEGER.findall(_text(body, outline)))):
        raise InvalidRequest("An integer in the JSON body exceeds 64 bits.", code="invalid_json")
    return parsed


def write(
    body: Mapping[str, Any], parsed: Mapping[str, Any], written: Mapping[str, bytes]
) -> bytes:
    """Return the JSON of a body, with what is `written` of the fields that are as `parsed`."""
    return orjson.dumps(
        {
            name: orjson.Fragment(written[name])
            if name in written and value is parsed[name]
            else value
            for name, value in body.items()
        }
    )


def _text(body: bytes, outline: Outline | None) -> bytes:
    return (outline or Outline(body)).text()


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
    """Count the keys of all objects, and tell whether a float may have been an integer.

    Raises InvalidRequest if there are too many objects and arrays, or they are nested too deeply.
    """
    keys = containers = 0
    has_vast_floats = False
    level: list[Any] = [payload]
    for _ in range(max_depth):
        deeper: list[Any] = []
        containers += len(level)
        if containers > MAX_CONTAINERS:
            raise _too_many(MAX_CONTAINERS, "objects and arrays")
        for container in level:
            if type(container) is dict:
                keys += len(container)
                values: Any = container.values()
            else:
                values = container
            for value in values:
                kind = type(value)
                # The most, and the soonest told.
                if kind is str:
                    continue
                if kind is dict or kind is list:
                    deeper.append(value)
                elif kind is float and abs(value) >= _SMALLEST_LOST_INTEGER:
                    has_vast_floats = True
        if not deeper:
            return keys, has_vast_floats
        level = deeper
    raise InvalidRequest(_TOO_DEEP.format(max_depth), code="invalid_json")


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
    if len(body) <= NAMED_BYTES:
        json.loads(body, object_pairs_hook=refuse, parse_int=str)
    raise InvalidRequest("The JSON body has a key twice in one object.", code="invalid_json")
