"""What is sent on without being read: fields of tomorrow, or of one upstream only.

A model may be shown it, so it is held for, as it is written; the estimate leaves it out, since
nobody knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from proxy.metering.prompt import Prompt

# Of a request itself: by OpenAI's specification, and by every upstream that we know of, these steer
# the call or mark it, and no model reads them.
NEVER_SHOWN = frozenset(
    {
        "encoding_format",
        "logit_bias",
        "metadata",
        "model",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "stop",
        "stream_options",
        "user",
    }
)


def add_unread(prompt: Prompt, given: Mapping[str, Any], *read: str) -> None:
    """Add the texts of an object, but for those of the fields that are read elsewhere."""
    rest = {
        name: value
        for name, value in given.items()
        if value and isinstance(value, str | list | dict) and name not in read
    }
    if rest:
        prompt.identifiers.append(to_json(rest))


def to_json(value: object) -> str:
    """Write a value as it is sent."""
    return orjson.dumps(value).decode()
