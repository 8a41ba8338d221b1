"""Tokens counted with OpenAI's own vocabularies, by its published rules for messages and tools.

https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
"""

import asyncio
import base64
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import tiktoken

from sandbox.upstream.media import AUDIO, count_media
from sandbox.upstream.prompt import Prompt, Tool, content_texts

# The files are shared with the product, the code is not: one copy of 2.5 MB in the tree.
VOCABULARY_FOLDER = Path(__file__).resolve().parents[2] / "proxy" / "vocab"

OLDER_MODELS = ("gpt-4-", "gpt-3.5", "text-embedding-", "davinci-002", "babbage-002")

TOKENS_PER_MESSAGE = 3
TOKENS_PER_NAME = 1
TOKENS_PRIMING_THE_REPLY = 3
TOKENS_PER_TOOL_LIST = 12
TOKENS_PER_FUNCTION = {"cl100k_base": 10, "o200k_base": 7}
TOKENS_PER_SCHEMA = 3
TOKENS_PER_PROPERTY = 3
TOKENS_PER_ENUM = -3
TOKENS_PER_ENUM_ITEM = 3

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
    is_older = name == "gpt-4" or name.startswith(OLDER_MODELS)
    return encoding("cl100k_base" if is_older else "o200k_base")


def split(text: str, vocabulary: tiktoken.Encoding) -> list[str]:
    """The text in pieces of a token each, or of several where only those make up a character."""
    return [piece for piece, _ in weigh(text, vocabulary)]


def weigh(text: str, vocabulary: tiktoken.Encoding) -> list[tuple[str, int]]:
    """The text in pieces that can stand alone, each with its number of tokens."""
    pieces: list[tuple[str, int]] = []
    waiting: list[int] = []
    for number in vocabulary.encode_ordinary(text):
        waiting.append(number)
        try:
            piece = vocabulary.decode(waiting, errors="strict")
        except UnicodeDecodeError:
            continue
        pieces.append((piece, len(waiting)))
        waiting = []
    return pieces


def count_text(text: str, vocabulary: tiktoken.Encoding) -> int:
    """Tokens of a text; what looks like a special token counts as ordinary text."""
    if len(text) <= SLICE_CHARACTERS:
        return len(vocabulary.encode_ordinary(text))
    starts = range(0, len(text), SLICE_CHARACTERS)
    return sum(
        len(vocabulary.encode_ordinary(text[start : start + SLICE_CHARACTERS])) for start in starts
    )


def count_messages(messages: list[dict[str, Any]], vocabulary: tiktoken.Encoding) -> int:
    """Prompt tokens of a chat's text: 3 per message, 1 per name, and 3 to prime the reply."""
    total = TOKENS_PRIMING_THE_REPLY
    for message in messages:
        total += TOKENS_PER_MESSAGE + (TOKENS_PER_NAME if message.get("name") else 0)
        total += sum(count_text(text, vocabulary) for text in _texts(message))
    return total


def count_tools(tools: list[Tool], vocabulary: tiktoken.Encoding) -> int:
    """Prompt tokens of the tools that a model may call; the rule is for schemas of one level."""
    if not tools:
        return 0
    per_function = TOKENS_PER_FUNCTION[vocabulary.name]
    return TOKENS_PER_TOOL_LIST + sum(per_function + _count_tool(t, vocabulary) for t in tools)


def _count_tool(tool: Tool, vocabulary: tiktoken.Encoding) -> int:
    total = count_text(f"{tool.name}:{_described(tool.description)}", vocabulary)
    properties = (tool.parameters or {}).get("properties")
    if not properties:
        return total
    total += TOKENS_PER_SCHEMA
    for name, value in properties.items():
        rules = value if isinstance(value, dict) else {}
        line = f"{name}:{rules.get('type', '')}:{_described(rules.get('description'))}"
        total += TOKENS_PER_PROPERTY + count_text(line, vocabulary)
        if choices := rules.get("enum"):
            total += TOKENS_PER_ENUM + TOKENS_PER_ENUM_ITEM * len(choices)
            total += sum(count_text(str(choice), vocabulary) for choice in choices)
    return total


def _described(text: object) -> str:
    return text.removesuffix(".") if isinstance(text, str) else ""


@dataclass(frozen=True, slots=True)
class PromptCount:
    """Prompt tokens: all of them, and those of sound among them."""

    total: int
    audio: int = 0


async def count_prompt(prompt: Prompt) -> PromptCount:
    """Prompt tokens of a conversation, without holding up the event loop on a long one."""
    messages = prompt.messages
    if sum(len(text) for message in messages for text in _texts(message)) <= INLINE_CHARACTERS:
        return _count(prompt)
    return await asyncio.to_thread(_count, prompt)


def _count(prompt: Prompt) -> PromptCount:
    vocabulary = encoding_for(prompt.model)
    total = count_messages(prompt.messages, vocabulary) + count_tools(prompt.tools, vocabulary)
    if prompt.answer_format.schema is not None:
        total += count_text(orjson.dumps(prompt.answer_format.schema).decode(), vocabulary)
    media = count_media(prompt.messages, prompt.model)
    return PromptCount(total + sum(media.values()), audio=media[AUDIO])


def _texts(message: dict[str, Any]) -> Iterator[str]:
    yield message["role"]
    yield from content_texts(message)
    for key in ("name", "refusal"):
        if message.get(key):
            yield message[key]
    for call in message.get("tool_calls") or ():
        body = call[call.get("type", "function")]
        yield body["name"]
        yield body.get("arguments") or body.get("input") or ""
