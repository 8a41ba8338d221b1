"""A prompt taken apart, and counted for an estimate. What a hold takes for it is in `bounds.py`.

Unknown fields are sent on, and an upstream may show them to its model. So a hold covers their text
as it is written; an estimate leaves it out, since it is not known whether a model reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import orjson

from proxy.metering.counts import Count, count_all
from proxy.metering.encodings import Encoding, encoding_for
from proxy.metering.functions import Described

# Measured on one core: 25 to 60 µs per KB of prose, 220 of emoji, 340 of nothing but spaces. So
# prose takes at most 0.5 ms of the event loop, spaces 2.7 ms. Above this, counting moves to a
# thread, which costs about 0.1 ms.
INLINE_BYTES = 8 * 1024
# Up to this, a prompt is counted even if its count is most likely not needed: 0.1 ms of prose.
QUICK_BYTES = 2 * 1024


@dataclass(slots=True)
class Prompt:
    """A request taken apart into what is tokenized and what has a fixed price."""

    model: str
    texts: list[str] = field(default_factory=list)
    # Texts that the model may read, but that the published rules do not bill.
    identifiers: list[str] = field(default_factory=list)
    tools: Sequence[Any] = ()
    tools_json: str = ""
    # What the tools describe.
    functions: Sequence[Mapping[str, Any]] = ()
    # Tokens that the rules add to the texts.
    overhead: int = 0
    # Tokens that an upstream may add beyond the rules.
    margin: int = 0
    # What a model sees or hears, by the rules, or by the size of its file.
    media: int = 0
    # The detail of each image.
    images: list[str] = field(default_factory=list)
    # Whether it has documents or sound, of which no size of a file tells how much a model reads.
    has_files: bool = False
    # The size of reasoning that only its maker can read.
    sealed_bytes: int = 0
    # What a chat template writes something around: messages, and calls in them.
    messages: int = 0
    calls: int = 0
    # How many texts are read by themselves, each within the model's context.
    inputs: int = 1
    # Text that the answer is expected to repeat; what it does not repeat is billed as written.
    predicted: list[str] = field(default_factory=list)
    # The tokens of `texts` and of the tools by their rule, once they were counted.
    counted: tuple[int, int] | None = None
    # The size of all texts, once it was measured.
    measured: int | None = None

    def size_bytes(self) -> int:
        """Return the size of all texts in UTF-8, measured once they are all here."""
        if self.measured is None:
            self.measured = _bytes(self.all_texts())
        return self.measured

    def all_texts(self) -> list[str]:
        """Return every text that a model may read."""
        return [*self.texts, *self.identifiers, self.tools_json]

    @property
    def is_ascii(self) -> bool:
        """Whether no text has a character beyond ASCII."""
        return all(text.isascii() for text in self.all_texts())

    def count(self, count: Count = count_all) -> int:
        """Count by the rules, for an estimate or where usage is missing."""
        return sum(self.count_texts(count)) + self.overhead + self.media

    def count_texts(self, count: Count = count_all) -> tuple[int, int]:
        """Count `texts`, and the tools by their rule, once."""
        if self.counted is None:
            encoding = encoding_for(self.model)
            # Each text may come again in another prompt, those of the tools all together.
            texts = sum(count(encoding, (text,)) for text in self.texts)
            self.counted = texts, self._count_tools(encoding, count)
        return self.counted

    def _count_tools(self, encoding: Encoding, count: Count) -> int:
        if not self.tools:
            return 0
        described = Described(self.functions, self.model)
        return count(encoding, tuple(described.texts)) + described.overhead

    @property
    def is_quickly_counted(self) -> bool:
        """Whether its count is known, or costs next to nothing."""
        return self.counted is not None or self.size_bytes() <= QUICK_BYTES

    @property
    def is_short(self) -> bool:
        """Whether it may be counted on the event loop."""
        return self.size_bytes() <= INLINE_BYTES


def _bytes(texts: Iterable[str]) -> int:
    return sum([len(text) if text.isascii() else len(text.encode()) for text in texts])


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


def add_unread(prompt: Prompt, given: Mapping[str, Any], read: AbstractSet[str]) -> None:
    """Add the texts of an object, except those of the fields in `read`, handled elsewhere."""
    if given.keys() <= read:
        return
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
