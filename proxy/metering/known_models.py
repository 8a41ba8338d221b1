"""What the names of OpenAI's models tell: how much they read, which think first, what they can.

For others staff enter it.

A model reads its prompt and its own answer within its context, so no prompt has more tokens than
that. Only names that are known are here: a later model may read more than the one that it is named
after, and too small a figure would be no bound.

Source: the page of each model at OpenAI, under "context window"; the guide "Embeddings".
"""

from __future__ import annotations

import re

from proxy.metering.encodings import base_model

_TOKENS = {
    "babbage-002": 16_384,
    "chatgpt-4o-latest": 128_000,
    "davinci-002": 16_384,
    "gpt-3.5-turbo": 16_385,
    "gpt-4": 8_192,
    "gpt-4-0125-preview": 128_000,
    "gpt-4-1106-preview": 128_000,
    "gpt-4-turbo": 128_000,
    "gpt-4-turbo-preview": 128_000,
    "gpt-4.1": 1_047_576,
    "gpt-4.1-mini": 1_047_576,
    "gpt-4.1-nano": 1_047_576,
    "gpt-4o": 128_000,
    "gpt-4o-mini": 128_000,
    "gpt-5": 400_000,
    "gpt-5-chat-latest": 400_000,
    "gpt-5-mini": 400_000,
    "gpt-5-nano": 400_000,
    "gpt-5.1": 400_000,
    "gpt-5.2": 400_000,
    "o1": 200_000,
    "o1-mini": 128_000,
    "o1-preview": 128_000,
    "o3": 200_000,
    "o3-mini": 200_000,
    "o3-pro": 200_000,
    "o4-mini": 200_000,
    "text-embedding-3-large": 8_192,
    "text-embedding-3-small": 8_192,
    "text-embedding-ada-002": 8_192,
}
# Models that think before anything of their answer is seen; the guide "Reasoning".
_THINKING = frozenset(
    {
        "gpt-5",
        "gpt-5-mini",
        "gpt-5-nano",
        "o1",
        "o1-mini",
        "o1-preview",
        "o3",
        "o3-mini",
        "o3-pro",
        "o4-mini",
    }
)
# The page of each model, under "modalities" and "features", of those that take chats.
_ALL_BUT_AUDIO = frozenset({"tools", "images", "files", "json"})
_ABILITIES = {
    "chatgpt-4o-latest": frozenset({"images"}),
    "gpt-3.5-turbo": frozenset({"tools"}),
    "gpt-4": frozenset({"tools"}),
    "gpt-4-0125-preview": frozenset({"tools"}),
    "gpt-4-1106-preview": frozenset({"tools"}),
    "gpt-4-turbo": frozenset({"tools", "images"}),
    "gpt-4-turbo-preview": frozenset({"tools"}),
    "gpt-5-chat-latest": frozenset({"images"}),
    "o3-mini": frozenset({"tools", "json"}),
} | dict.fromkeys(
    (
        *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-4.1-nano"),
        *(
            "gpt-5",
            "gpt-5-mini",
            "gpt-5-nano",
            "gpt-5.1",
            "gpt-5.2",
            "o1",
            "o3",
            "o3-pro",
            "o4-mini",
        ),
    ),
    _ALL_BUT_AUDIO,
)
# A version of a model: gpt-4o-2024-08-06, gpt-4-0613, and as Azure has it, gpt-4o-2024-08-06-1.
_VERSION = re.compile(r"-(\d{4}|\d{4}-\d{2}-\d{2})(-\d+)?$")


def find_context(model: str) -> int | None:
    """Return the context of a model in tokens; None if its name does not tell."""
    base = base_model(model)
    return _TOKENS.get(base) or _TOKENS.get(_unversioned(base))


def thinks_first(model: str) -> bool:
    """Tell whether a model is known to think before it answers."""
    return _unversioned(base_model(model)) in _THINKING


def find_abilities(model: str) -> frozenset[str]:
    """Return what a model is known to be able to; nothing if its name does not tell."""
    base = base_model(model)
    return _ABILITIES.get(base) or _ABILITIES.get(_unversioned(base)) or frozenset()


def _unversioned(base: str) -> str:
    return _VERSION.sub("", base)
