"""A prompt taken apart, and counted: roughly for an estimate, never too low for a hold.

A hold must cover the worst case. For a model whose tokenizer we have, that is the exact count and
a margin; for others and for very long prompts it is the number of bytes, since no tokenizer makes
more than one token of a byte.

Unknown fields are sent on, and an upstream may show them to its model. So a hold covers their text
as it is written; an estimate leaves it out, since it is not known whether a model reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.metering.encodings import Encoding, count_text, encoding_for, is_known_model

# Measured on one core: 25 to 60 µs per KB of prose, 220 of emoji, 340 of nothing but spaces. So
# prose takes at most 0.5 ms of the event loop, spaces 2.7 ms. Above this, counting moves to a
# thread, which costs about 0.1 ms.
INLINE_BYTES = 8 * 1024
# Above this even a thread is too much for a request that has not been paid for: 60 ms for prose,
# 0.35 s for spaces. The tokenizer releases the GIL meanwhile, so the event loop goes on.
EXACT_BYTES = 1024 * 1024


@dataclass(slots=True)
class Prompt:
    """A request taken apart into what is tokenized and what has a fixed price."""

    model: str
    texts: list[str] = field(default_factory=list)
    # Texts that the model may read, but that the published rules do not bill.
    identifiers: list[str] = field(default_factory=list)
    tool_texts: list[str] = field(default_factory=list)
    tools_json: str = ""
    # Tokens that the rules add to the texts.
    overhead: int = 0
    tool_overhead: int = 0
    # Tokens that an upstream may add beyond the rules.
    margin: int = 0
    media: int = 0
    media_bound: int = 0
    # Text that the answer is expected to repeat; what it does not repeat is billed as written.
    predicted: list[str] = field(default_factory=list)

    def size_bytes(self) -> int:
        """Return the size of all texts in UTF-8."""
        return (
            _bytes(self.texts)
            + _bytes(self.identifiers)
            + max(_bytes(self.tool_texts), _bytes([self.tools_json]))
        )

    def count(self) -> int:
        """Count by the rules, for an estimate or where usage is missing."""
        encoding = encoding_for(self.model)
        texts = _tokens(self.texts, encoding) + _tokens(self.tool_texts, encoding)
        return texts + self.overhead + self.tool_overhead + self.media

    @property
    def is_short(self) -> bool:
        """Whether it may be counted on the event loop."""
        return self.size_bytes() <= INLINE_BYTES

    @property
    def is_countable(self) -> bool:
        """Whether its bound is an exact count: we have the tokenizer and it is not too long."""
        return is_known_model(self.model) and self.size_bytes() <= EXACT_BYTES

    def bound(self) -> int:
        """Return a number of tokens that the prompt can't exceed."""
        return self.bound_exactly() if self.is_countable else self.bound_by_size()

    def bound_exactly(self) -> int:
        """Count, and add a margin for what the rules leave open."""
        encoding = encoding_for(self.model)
        texts = _tokens(self.texts, encoding) + _tokens(self.identifiers, encoding)
        rules = _tokens(self.tool_texts, encoding) + self.tool_overhead
        tools = max(rules, _tokens([self.tools_json], encoding))
        return texts + tools + self.overhead + self.margin + self.media_bound

    def bound_prediction(self) -> int:
        """Return the most tokens that a prediction may add to the bill beyond the maximum.

        By its size in bytes, which is quick to find.
        """
        return _bytes(self.predicted)

    def bound_by_size(self) -> int:
        """Return a bound that counts every byte as a token."""
        fixed = self.overhead + max(0, self.tool_overhead) + self.margin + self.media_bound
        return self.size_bytes() + fixed


def _tokens(texts: Iterable[str], encoding: Encoding) -> int:
    return sum(count_text(text, encoding) for text in texts if text)


def _bytes(texts: Iterable[str]) -> int:
    return sum(len(text) if text.isascii() else len(text.encode()) for text in texts)


# Fields of a request that steer the call or label it, by OpenAI's specification and with every
# upstream that we know of; no model reads them.
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
    """Add the texts of an object, except those of the fields in `read`, handled elsewhere."""
    rest = {
        name: value
        for name, value in given.items()
        if value and isinstance(value, str | list | dict) and name not in read
    }
    if rest:
        prompt.identifiers.append(to_json(rest))


def to_json(value: object) -> str:
    """Return a value's JSON as it is sent."""
    return orjson.dumps(value).decode()
