"""Replace the upstream's model name by the public one, and leave all other bytes as they are.

Gateways also report which of their upstreams served a request and what it cost us. An answer
with these fields is written anew without them; a search for three keys finds such answers.

A quotation mark inside a JSON string is escaped, so `"model":` can't be anything but a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')


# Fields of an answer or a chunk, then of its usage.
_TELLING = frozenset({"provider", "x_groq"})
_TELLING_OF_COST = frozenset({"cost", "cost_details", "is_byok"})


def is_telling(raw: bytes) -> bool:
    """Tell whether an answer may name the upstream that served it, or what it cost us."""
    return b'"provider"' in raw or b'"x_groq"' in raw or b'"cost"' in raw


def without_telling(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer, chunk or event without the fields that tell who served it and our cost."""
    told = {name: value for name, value in answer.items() if name not in _TELLING}
    if isinstance(usage := told.get("usage"), Mapping):
        told["usage"] = {name: usage[name] for name in usage if name not in _TELLING_OF_COST}
    if isinstance(response := told.get("response"), Mapping):
        told["response"] = without_telling(response)
    return told


class PublicName:
    """Renames the model of one answer. An upstream writes its name the same way in all chunks."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._public = self._seen = b'"model":' + orjson.dumps(model)

    def write_chunk(self, raw: bytes) -> bytes:
        """Rename the model in a chunk, in which no other object has a field of that name."""
        if self._seen not in raw:
            match = _MODEL.search(raw)
            if match is None:
                return raw
            self._seen = match.group()
        return raw if self._seen == self._public else raw.replace(self._seen, self._public)

    def write_object(self, raw: bytes, *path: str) -> bytes:
        """Rename the model of the object at a path in an answer or an event's payload.

        The JSON is written anew only if another object, such as the client's metadata, has a model.
        """
        found = _MODEL.findall(raw)
        if not found or found == [self._public]:
            return raw
        if len(found) == 1:
            return raw.replace(found[0], self._public)
        whole = orjson.loads(raw)
        part = whole
        for name in path:
            part = part[name]
        if "model" in part:
            part["model"] = self.model
        return orjson.dumps(whole)
