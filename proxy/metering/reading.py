"""Read JSON that an upstream wrote, also where it is not quite JSON.

Some write NaN, halves of surrogate pairs, escapes that JSON lacks, or bytes that are no UTF-8. The
text in it reaches the client and is charged, so it is mended: NaN becomes null, and what stands
for no character becomes U+FFFD.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

_ESCAPE = re.compile(r"\\(?:[\"\\/bfnrt]|u[0-9a-fA-F]{4})?")
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_object(data: bytes | None) -> dict[str, Any]:
    """Parse a payload; {} if it is not a JSON object."""
    try:
        value = orjson.loads(data or b"")
    except orjson.JSONDecodeError:
        value = _read_mended(data or b"")
    return value if isinstance(value, dict) else {}


def _read_mended(data: bytes) -> object:
    if not data.lstrip().startswith(b"{"):
        return None
    text = _ESCAPE.sub(_mend_escape, data.decode(errors="replace"))
    try:
        # Python's own parser takes NaN, control characters and halves of surrogate pairs.
        found = json.loads(text, strict=False, parse_constant=_to_null, parse_int=_read_int)
        return orjson.loads(_SURROGATE.sub("\ufffd", json.dumps(found, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None


def _mend_escape(found: re.Match[str]) -> str:
    return found.group() if len(found.group()) > 1 else "\\\\"


def _to_null(_constant: str) -> None:
    return None


def _read_int(digits: str) -> int | float:
    # orjson knows integers of 64 bits, and Python's take time that grows faster than their length.
    return int(digits) if len(digits) < 19 else float(digits)
