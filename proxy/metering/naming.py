"""Write the public model's name over the upstream's, and leave all other bytes as they are.

A quotation mark inside a JSON string is escaped, so `"model":` can't be anything but a key.
"""

from __future__ import annotations

import re

import orjson

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')


class PublicName:
    """Renames the model of one answer. An upstream writes its name the same way in all chunks."""

    def __init__(self, model: str) -> None:
        self.model = model
        self._public = self._seen = b'"model":' + orjson.dumps(model)

    def write_chunk(self, raw: bytes) -> bytes:
        """Rename the model in a chunk, where no other object has a field of that name."""
        if self._seen not in raw:
            match = _MODEL.search(raw)
            if match is None:
                return raw
            self._seen = match.group()
        return raw if self._seen == self._public else raw.replace(self._seen, self._public)

    def write_object(self, raw: bytes, *path: str) -> bytes:
        """Rename the model of the object at a path in an answer or an event's payload.

        Written anew only if another object, such as the client's metadata, has a model too.
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
