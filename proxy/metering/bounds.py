"""The most tokens that a prompt can have: what a hold takes for it. Never shown as a count.

With the tokenizer of the models that may read it, that is the count and a margin for what the
published rules leave open. Otherwise it is the number of bytes, with what a chat template and the
tokenizer's own normal form may add. Neither is more than a model can read at all, its context.

How much a model reads of a document, or of sound, no size of a file tells: a thousand pages take
three kilobytes. So is the size of an image only what the file says of itself. Where no rule limits
what a model reads of it, such a request is held at the context.

A byte bounds a token:
* Byte-level vocabularies (OpenAI's, Llama 3, Qwen, DeepSeek, Mistral's Tekken) have all 256 bytes,
  and each merge only makes tokens fewer (Sennrich et al. 2016; Radford et al. 2019).
* SentencePiece falls back to a token for each byte, or to one for each unknown character, and puts
  one space before a text (`byte_fallback`, `add_dummy_prefix` in its `model.proto`).
* Some tokenizers bring a text into normal form C first (Qwen, Cohere) or KC (Anthropic's first
  one, SentencePiece's default), which makes some characters longer: U+FDFA of 3 bytes becomes 33
  (Unicode's FAQ on normalization, "maximum expansion factor").
* Chat templates write some values as JSON: Llama 3.1 the results of tools, nearly all the calls,
  and Llama 3.1 the tools themselves indented by four (`chat_template` in their tokenizer's files).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Self

import orjson

from proxy.errors import ContextUnknown
from proxy.metering.counts import Count, count_all
from proxy.metering.encodings import encoding_for, encoding_name, is_known_model
from proxy.metering.functions import most_beside
from proxy.metering.images import most_of_image
from proxy.metering.known_models import find_context
from proxy.metering.prompt import Prompt

# Above this even a thread is too much for a request that has not been paid for: 60 ms for prose,
# 0.35 s for spaces. The tokenizer releases the GIL meanwhile, so the event loop goes on.
EXACT_BYTES = 1024 * 1024

# What the template of a model that we don't know may add, in tokens.
# A system message of its own: gpt-oss has the longest that we know, of about 100.
TEMPLATE_PER_PROMPT = 256
# How to call tools: Anthropic names up to 530 for Claude 3, Qwen's and Llama's take about 150.
TEMPLATE_FOR_TOOLS = 1_024
# Beside the role and what the published rules have: Llama 2's `[INST]`, `[/INST]` and turns.
TEMPLATE_PER_MESSAGE = 8
# `<tool_call>{"name": …, "arguments": …}</tool_call>` and what tells it from the text.
TEMPLATE_PER_CALL = 32
# Of an embedding: its beginning and end, and a line on what it is for (Voyage, E5, Nomic).
TEMPLATE_PER_INPUT = 16

# Normalizing holds the GIL: a slice of the worst text takes about 4 ms.
SLICE_CHARS = 4_096
# So many take a millisecond to mark. More of them, in a text of their own kind, are counted.
MOST_MARKED = 128 * 1024
# What a cut may hide: a mark after it moves one before it out of its character.
SLICE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Reader:
    """The models behind a public name, as far as a hold must know them."""

    # As customers call it.
    name: str
    # As upstreams call those that may read the prompt.
    models: tuple[str, ...]
    # Whether all of them have the tokenizer that the public name is counted by.
    has_tokenizer: bool
    # The most that any of them reads, its own answer included; None if that is not known.
    context_tokens: int | None = None
    # What staff chose to hold instead of a token for each byte, where we lack the tokenizer.
    tokens_per_100_bytes: int | None = None

    @classmethod
    def of(
        cls,
        name: str,
        models: Collection[str],
        *,
        context_tokens: int | None = None,
        tokens_per_100_bytes: int | None = None,
    ) -> Self:
        """Return the reader of a public name and its upstream names.

        Without a context, it is the largest of those that the upstream names tell.
        """
        known = [find_context(model) for model in models]
        told = [tokens for tokens in known if tokens is not None]
        return cls(
            name,
            tuple(dict.fromkeys(models)),
            has_tokenizer=all(_has_encoding(model, encoding_name(name)) for model in models),
            context_tokens=context_tokens or (max(told) if told and None not in known else None),
            tokens_per_100_bytes=tokens_per_100_bytes,
        )

    def most(self, prompt: Prompt) -> int | None:
        """Return the most that can be read of any prompt like this; None if that is not known."""
        return None if self.context_tokens is None else self.context_tokens * prompt.inputs

    def within(self, tokens: int, prompt: Prompt) -> int:
        """Return so many tokens of a prompt, as far as they can be read."""
        most = self.most(prompt)
        return tokens if most is None else min(tokens, most)


def bound_prompt(prompt: Prompt, reader: Reader, count: Count = count_all) -> int:
    """Return a number of tokens that the prompt can't exceed. Raises ContextUnknown."""
    if may_count(prompt, reader):
        return bound_exactly(prompt, reader, count)
    return bound_by_size(prompt, reader)


def may_count(prompt: Prompt, reader: Reader) -> bool:
    """Tell whether a prompt may be counted for its hold."""
    return reader.has_tokenizer and prompt.size_bytes() <= EXACT_BYTES


def is_quickly_bound(prompt: Prompt, reader: Reader) -> bool:
    """Tell whether a bound needs neither the tokenizer nor a normal form: 2 µs a KB."""
    return not reader.has_tokenizer and prompt.is_ascii and prompt.size_bytes() <= EXACT_BYTES


def bound_exactly(prompt: Prompt, reader: Reader, count: Count = count_all) -> int:
    """Count, and add a margin for what the rules leave open. Raises ContextUnknown."""
    media = _bound_media(prompt, reader)
    if media is None:
        return _most_of_boundless(prompt, reader)
    encoding = encoding_for(prompt.model)
    texts, tools = prompt.count_texts(count)
    tools = max(tools, count(encoding, (prompt.tools_json,)))
    texts += sum(count(encoding, (text,)) for text in prompt.identifiers)
    return reader.within(texts + tools + prompt.overhead + prompt.margin + media, prompt)


def bound_by_size(prompt: Prompt, reader: Reader) -> int:
    """Return a bound that counts every byte as a token. Raises ContextUnknown."""
    media = _bound_media(prompt, reader)
    if media is None:
        return _most_of_boundless(prompt, reader)
    fixed = prompt.overhead + prompt.margin + media
    size = prompt.size_bytes()
    if prompt.tools:
        fixed += most_beside(prompt.tools_json)
    if not reader.has_tokenizer:
        most = reader.most(prompt)
        # Beyond the context nothing is worth a closer look.
        if most is None or size < most:
            size += _rewritten_bytes(prompt)
        if reader.tokens_per_100_bytes is not None:
            size = -(-size * reader.tokens_per_100_bytes // 100)
        fixed += _template_tokens(prompt)
    return reader.within(size + fixed, prompt)


def bound_prediction(prompt: Prompt) -> int:
    """Return the most tokens that a prediction may add to the bill beyond the maximum.

    By its size in bytes, which is quick to find: who takes predictions, OpenAI and Mistral, has a
    byte-level vocabulary without a normal form.
    """
    return sum(len(text.encode()) for text in prompt.predicted)


def _has_encoding(model: str, name: str) -> bool:
    return is_known_model(model) and encoding_name(model) == name


def _bound_media(prompt: Prompt, reader: Reader) -> int | None:
    """Return the most tokens of everything but text; None if only the context limits it."""
    if prompt.has_files:
        return None
    total = prompt.sealed_bytes
    for detail in prompt.images:
        most = most_of_image(detail, reader.models)
        if most is None:
            return None
        total += most
    return total


def _most_of_boundless(prompt: Prompt, reader: Reader) -> int:
    most = reader.most(prompt)
    if most is None:
        raise ContextUnknown(reader.name)
    return most


def _template_tokens(prompt: Prompt) -> int:
    """Return what the template of a model that we don't know may add."""
    if not prompt.messages:
        return TEMPLATE_PER_INPUT * prompt.inputs
    return (
        TEMPLATE_PER_PROMPT
        + TEMPLATE_PER_MESSAGE * prompt.messages
        + TEMPLATE_PER_CALL * prompt.calls
        + (TEMPLATE_FOR_TOOLS if prompt.tools else 0)
    )


def _rewritten_bytes(prompt: Prompt) -> int:
    """Return how many bytes longer a template and a tokenizer may make the texts."""
    texts = [text for text in prompt.all_texts() if text]
    whole = "".join(texts)
    longer = _escaped_bytes(whole, len(texts))
    if not whole.isascii():
        longer += sum([_normalized_bytes(text) for text in texts])
    if prompt.tools:
        # Indented by four instead of two.
        indented = len(orjson.dumps(prompt.tools, option=orjson.OPT_INDENT_2))
        longer += 2 * (indented - len(prompt.tools_json.encode()))
    return longer


def _escaped_bytes(whole: str, texts: int) -> int:
    """Return how many bytes longer texts are as JSON, with spaces behind their commas and colons.

    The two quotation marks stand for the space that SentencePiece puts before a text. Characters
    are escaped each by itself, so all texts are written as one, `whole`.
    """
    size = len(whole) if whole.isascii() else len(whole.encode())
    # As quotation marks, which become longer by one, too: a tenth of what counting takes, unless
    # there is hardly anything else.
    marked = whole.replace(",", '"', MOST_MARKED).replace(":", '"', MOST_MARKED)
    others = sum(marked.count(sign) for sign in ",:" if sign in marked)
    return 2 * texts - size + len(orjson.dumps(marked)) - 2 + others


def _normalized_bytes(text: str) -> int:
    """Return how many bytes longer a text is in the normal form in which it is longest."""
    if text.isascii():
        return 0
    longer = 0
    for start in range(0, len(text), SLICE_CHARS):
        piece = text[start : start + SLICE_CHARS]
        if not piece.isascii():
            size = len(piece.encode())
            longest = max(len(unicodedata.normalize(form, piece).encode()) for form in _FORMS)
            longer += max(0, longest - size) + (SLICE_BYTES if start else 0)
    return longer


_FORMS: tuple[Literal["NFC", "NFKC"], ...] = ("NFC", "NFKC")
