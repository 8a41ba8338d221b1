"""Names of an upstream's fields: those that tell who served or at what cost, and those of ours."""

from __future__ import annotations

import re
from functools import lru_cache

# Fields that are ours to write, or that fail an answer: no extra has such a name.
OWN = frozenset(
    [
        "id",
        "object",
        "created",
        "created_at",
        "model",
        "choices",
        "index",
        "delta",
        "message",
        "text",
        "finish_reason",
        "usage",
        "error",
        "data",
        "output",
        "status",
        "type",
        "sequence_number",
        "response",
    ]
)
# Names of fields inside messages that tell who served, or what we pay.
_TELLING = re.compile(
    r"provider|cost|price|ticks|billing|byok|upstream|vendor|organi[sz]ation|fingerprint|^x_"
    r"|backend|region|deployment|api_?key|router|hostname|^model(?:_name|_id)?$",
    re.IGNORECASE,
)


def may_be_extra(name: str) -> bool:
    """Tell whether staff may let a field of this name pass."""
    return name not in OWN and not is_telling(name)


@lru_cache(maxsize=1024)
def is_telling(name: str) -> bool:
    """Tell whether a field of this name may say who served a request, or what it cost us."""
    return _TELLING.search(name) is not None
