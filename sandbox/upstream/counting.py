"""Tokens counted with OpenAI's own vocabularies, by its published rule for messages.

https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
"""

import asyncio
import base64
import gzip
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import tiktoken

# The files are shared with the product, the code is not: one copy of 2.5 MB in the tree.
VOCABULARY_FOLDER = Path(__file__).resolve().parents[2] / "proxy" / "vocab"

TOKENS_PER_MESSAGE = 3
TOKENS_PER_NAME = 1
TOKENS_PRIMING_THE_REPLY = 3

# The tokenizer's time grows faster than the text on long unbroken runs.
SLICE_CHARACTERS = 100_000
# Longer prompts are counted in a thread: about 10 ms of the event loop.
INLINE_CHARACTERS = 50_000

# Patterns of `tiktoken_ext.openai_public`, which can't be called without a download.
PATTERNS = {
    "o200k_base": "|".join(
        [
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?""",
            r"""\p{N}{1,3}""",
            r""" ?[^\s\p{L}\p{N}]+[\r\n/]*""",
            r"""\s*[\r\n]+""",
            r"""\s+(?!\S)""",
            r"""\s+""",
        ]
    ),
    "cl100k_base": "|".join(
        [
            r"""'(?i:[sdmt]|ll|ve|re)""",
            r"""[^\r\n\p{L}\p{N}]?+\p{L}++""",
            r"""\p{N}{1,3}+""",
            r""" ?[^\s\p{L}\p{N}]++[\r\n]*+""",
            r"""\s++$""",
            r"""\s*[\r\n]""",
            r"""\s+(?!\S)""",
            r"""\s""",
        ]
    ),
}
SHA256 = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}


@cache
def encoding(name: str) -> tiktoken.Encoding:
    """Load a vocabulary from the tree. Raises ValueError if the file is not the published one."""
    path = VOCABULARY_FOLDER / f"{name}.tiktoken.gz"
    unpacked = gzip.decompress(path.read_bytes())
    if hashlib.sha256(unpacked).hexdigest() != SHA256[name]:
        raise ValueError(f"{path} is not the published {name} vocabulary")
    lines = (line.split() for line in unpacked.splitlines())
    ranks = {base64.b64decode(piece): int(rank) for piece, rank in lines}
    return tiktoken.Encoding(name, pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})


def encoding_for(model: str) -> tiktoken.Encoding:
    """The vocabulary that OpenAI uses for a model; the newest for one it does not have."""
    name = model.rpartition("/")[2]
    is_older = name == "gpt-4" or name.startswith(("gpt-4-", "gpt-3.5"))
    return encoding("cl100k_base" if is_older else "o200k_base")


def split(text: str, vocabulary: tiktoken.Encoding) -> list[str]:
    """The text's tokens as text."""
    return [vocabulary.decode([number]) for number in vocabulary.encode_ordinary(text)]


def count_text(text: str, vocabulary: tiktoken.Encoding) -> int:
    """Tokens of a text; what looks like a special token counts as ordinary text."""
    if len(text) <= SLICE_CHARACTERS:
        return len(vocabulary.encode_ordinary(text))
    starts = range(0, len(text), SLICE_CHARACTERS)
    return sum(
        len(vocabulary.encode_ordinary(text[start : start + SLICE_CHARACTERS])) for start in starts
    )


def count_messages(messages: list[dict[str, Any]], vocabulary: tiktoken.Encoding) -> int:
    """Prompt tokens of a chat: 3 per message, its texts, 1 per name, and 3 to prime the reply."""
    total = TOKENS_PRIMING_THE_REPLY
    for message in messages:
        total += TOKENS_PER_MESSAGE + (TOKENS_PER_NAME if message.get("name") else 0)
        total += sum(count_text(text, vocabulary) for text in _texts(message))
    return total


async def count_prompt(messages: list[dict[str, Any]], model: str) -> int:
    """Prompt tokens of a chat, without holding up the event loop on a long one."""
    vocabulary = encoding_for(model)
    if sum(len(text) for message in messages for text in _texts(message)) <= INLINE_CHARACTERS:
        return count_messages(messages, vocabulary)
    return await asyncio.to_thread(count_messages, messages, vocabulary)


def _texts(message: dict[str, Any]) -> Iterator[str]:
    yield message["role"]
    yield from content_texts(message)
    for key in ("name", "refusal"):
        if message.get(key):
            yield message[key]
    for call in message.get("tool_calls") or ():
        yield call["function"]["name"]
        yield call["function"]["arguments"]


def content_texts(message: dict[str, Any]) -> Iterator[str]:
    """The texts of a message's content, which is a string, a list of parts or nothing."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif content:
        for part in content:
            text = part.get("text") or part.get("refusal")
            if text:
                yield text
