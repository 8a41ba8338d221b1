"""OpenAI's tokenizers from the vocabularies shipped beside this module, never from the network.

`tiktoken.get_encoding` downloads what it lacks; this loads the two files in `vocab/`, after
checking their hashes, with the patterns and special ids of `tiktoken_ext/openai_public.py`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path
from threading import Lock
from typing import Final

from tiktoken import Encoding

from proxy.errors import VocabularyDamaged

__all__ = [
    "Encoding",
    "TextCounter",
    "base_model",
    "count_text",
    "encoding_for",
    "encoding_name",
    "is_known_model",
    "load",
    "warm",
]

CL100K: Final = "cl100k_base"
O200K: Final = "o200k_base"

# Time and memory of one call grow faster than the text for some inputs; slices bound them.
SLICE_CHARS = 100_000
# A counter keeps up to this much uncounted while it waits for a place to cut: a quarter of a slice.
TAIL_CHARS = 25_000

_VOCAB = Path(__file__).parents[1] / "vocab"
_SHA256 = {
    CL100K: "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    O200K: "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
_PATTERN = {
    CL100K: (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
    ),
    O200K: "|".join(
        [
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"\p{N}{1,3}",
            r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
            r"\s*[\r\n]+",
            r"\s+(?!\S)",
            r"\s+",
        ]
    ),
}
_SPECIAL = {
    CL100K: {
        "<|endoftext|>": 100257,
        "<|fim_prefix|>": 100258,
        "<|fim_middle|>": 100259,
        "<|fim_suffix|>": 100260,
        "<|endofprompt|>": 100276,
    },
    O200K: {"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
}
# Each is followed by a hyphen or the end. Google and Alibaba have `text-embedding-` models, too.
_CL100K_MODELS = (
    "babbage-002",
    "davinci-002",
    "gpt-3.5",
    "gpt-35",
    "gpt-4",
    "text-embedding-3",
    "text-embedding-ada-002",
)
_O200K_MODELS = ("chatgpt-4o", "gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "o1", "o3", "o4")
# Versions of a model whose name goes on with a point: gpt-5.1.
_O200K_PREFIXES = ("gpt-5.",)

_loaded: dict[str, Encoding] = {}
_loading = Lock()


def load(name: str) -> Encoding:
    """Return an encoding by its name. The first call takes a quarter of a second."""
    if name not in _loaded:
        with _loading:
            if name not in _loaded:
                _loaded[name] = _build(name)
    return _loaded[name]


def warm() -> None:
    """Load all encodings, so that no request has to wait for one."""
    for name in _SHA256:
        load(name)


def encoding_name(model: str) -> str:
    """Name the encoding of a model, with or without a provider's or fine-tune's prefix."""
    return CL100K if _is_of(model, _CL100K_MODELS) else O200K


def encoding_for(model: str) -> Encoding:
    """Return the encoding of a model, o200k_base if it is unknown."""
    return load(encoding_name(model))


def is_known_model(model: str) -> bool:
    """Tell whether the encoding is the model's own. For an unknown model it is a guess."""
    return _is_of(model, _CL100K_MODELS + _O200K_MODELS) or base_model(model).startswith(
        _O200K_PREFIXES
    )


def _is_of(model: str, families: tuple[str, ...]) -> bool:
    base = base_model(model) + "-"
    return any(base.startswith(f"{family}-") for family in families)


def count_text(text: str, encoding: Encoding) -> int:
    """Count a text's tokens. Special tokens within it count as ordinary text."""
    if len(text) <= SLICE_CHARS:
        return len(encoding.encode_ordinary(text))
    counter = TextCounter(encoding)
    for start in range(0, len(text), SLICE_CHARS):
        counter.add(text[start : start + SLICE_CHARS])
    return counter.total()


class TextCounter:
    """Count a text that arrives in pieces, as if it were whole, in bounded memory.

    Both patterns always split before a space that follows something else, so counting up to such
    a place now and the rest later gives the same sum.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._counted = 0
        self._pieces: list[str] = []
        self._chars = 0
        self._next_cut_chars = TAIL_CHARS
        # The sum, until more is added.
        self._total: int | None = 0

    def add(self, piece: str) -> None:
        self._total = None
        self._pieces.append(piece)
        self._chars += len(piece)
        if self._chars > self._next_cut_chars:
            self._count_head()

    def total(self) -> int:
        """Count everything so far; more may be added later.

        Only what came since the last time is counted, and the last word.
        """
        if self._total is None:
            text = "".join(self._pieces)
            cut = _last_word(text, len(text))
            self._counted += len(self._encoding.encode_ordinary(text[:cut])) if cut else 0
            tail = text[cut:]
            self._pieces, self._chars = [tail], len(tail)
            self._next_cut_chars = len(tail) + TAIL_CHARS
            self._total = self._counted + len(self._encoding.encode_ordinary(tail))
        return self._total

    def _count_head(self) -> None:
        text = "".join(self._pieces)
        while len(text) > TAIL_CHARS:
            cut = _last_word(text, min(len(text), SLICE_CHARS))
            if cut == 0 and len(text) < SLICE_CHARS:
                break
            # Without a place to cut, cutting anywhere miscounts by at most one token per slice.
            cut = cut or SLICE_CHARS
            self._counted += len(self._encoding.encode_ordinary(text[:cut]))
            text = text[cut:]
        self._pieces = [text]
        self._chars = len(text)
        # Text without spaces may have no place to cut: don't search it again with every piece.
        self._next_cut_chars = len(text) + TAIL_CHARS


def _last_word(text: str, end: int) -> int:
    """Find the last space before `end` that follows something else; 0 if there is none."""
    cut = text.rfind(" ", 1, end)
    while cut > 0 and text[cut - 1].isspace():
        cut = text.rfind(" ", 1, cut)
    return max(cut, 0)


def base_model(model: str) -> str:
    """Strip a provider's prefix and a fine-tune's: `openai/gpt-4o`, `ft:gpt-4o:acme::8Hx2`."""
    return model.rpartition("/")[2].removeprefix("ft:").partition(":")[0].lower()


def _build(name: str) -> Encoding:
    raw = gzip.decompress((_VOCAB / f"{name}.tiktoken.gz").read_bytes())
    if hashlib.sha256(raw).hexdigest() != _SHA256[name]:
        raise VocabularyDamaged(f"{name}.tiktoken.gz is not the published vocabulary")
    ranks = {
        base64.b64decode(piece): int(rank) for piece, rank in map(bytes.split, raw.splitlines())
    }
    return Encoding(
        name, pat_str=_PATTERN[name], mergeable_ranks=ranks, special_tokens=_SPECIAL[name]
    )
