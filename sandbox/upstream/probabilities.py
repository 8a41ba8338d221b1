"""Log probabilities of the tokens of an answer: made up, but the same each time."""

import zlib
from typing import Any

from sandbox.upstream import words

# In a chat the chosen token is named among the likely ones; each less likely than the one before.
STEP = 0.5


def _logprob(piece: str) -> float:
    return -(zlib.crc32(piece.encode()) % 1000) / 1000


def likely(piece: str, count: int) -> list[tuple[str, float]]:
    """So many likely tokens with their log probabilities, the chosen one first."""
    first = _logprob(piece)
    start = zlib.crc32(piece.encode())
    size = len(words.NEXT_PIECES)
    others = [words.NEXT_PIECES[(start + index) % size] for index in range(count)]
    others = [other for other in others if other != piece][: count - 1]
    return [(piece, first), *((o, first - STEP * i) for i, o in enumerate(others, 1))][:count]


def entry(piece: str, count: int, *, with_bytes: bool = True) -> dict[str, Any]:
    """A token as chats and responses describe it."""
    top = [_token(text, value, with_bytes=with_bytes) for text, value in likely(piece, count)]
    return {**_token(piece, _logprob(piece), with_bytes=with_bytes), "top_logprobs": top}


def _token(piece: str, logprob: float, *, with_bytes: bool) -> dict[str, Any]:
    described: dict[str, Any] = {"token": piece, "logprob": logprob}
    if with_bytes:
        described["bytes"] = list(piece.encode())
    return described


def logprob(piece: str) -> float:
    """The log probability of a token."""
    return _logprob(piece)
