"""What the provider says: text that depends on the request alone, or on directives in it."""

import hashlib
import re
from dataclasses import dataclass

import orjson

from sandbox.upstream import counting, words
from sandbox.upstream.chat_request import ChatRequest

SHORTEST_ANSWER_TOKENS = 16
LONGEST_ANSWER_TOKENS = 64
# No published model answers more in one go, whatever a directive says.
MODEL_LIMIT_TOKENS = 128_000

DIRECTIVE = re.compile(r"\[\[(tokens|cached|tps)=(\d{1,9}(?:\.\d{1,6})?)\]\]")
SAY_WORDS = re.compile(r"\bsay (\d{1,9}) words\b", re.IGNORECASE)
SPEED_SUFFIX = re.compile(r"-(\d{1,9}(?:\.\d{1,6})?)tps$")


@dataclass(frozen=True, slots=True)
class Directives:
    """What the last user message asks of the emulator itself."""

    answer_tokens: int | None = None
    cached_tokens: int = 0
    tokens_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice: its tokens as text, and why it ended."""

    pieces: list[str]
    finish_reason: str

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def read_directives(request: ChatRequest) -> Directives:
    """Find `say N words` and `[[tokens=N]]`, `[[cached=N]]`, `[[tps=N]]` in the last user text."""
    text = _last_user_text(request)
    found = dict(DIRECTIVE.findall(text)) if "[[" in text else {}
    length = found.get("tokens")
    if length is None:
        said = SAY_WORDS.search(text)
        length = said[1] if said else None
    speed = found.get("tps")
    return Directives(
        answer_tokens=None if length is None else int(float(length)),
        cached_tokens=int(float(found.get("cached", 0))),
        tokens_per_second=None if speed is None else float(speed),
    )


def split_speed(model: str) -> tuple[str, float | None]:
    """A model's name without its speed, and the speed: `gpt-4o-50tps` is 50 tokens per second."""
    match = SPEED_SUFFIX.search(model)
    return (model[: match.start()], float(match[1])) if match else (model, None)


def conversation_digest(request: ChatRequest) -> bytes:
    """What makes two requests the same conversation: their messages and their seed."""
    identity = orjson.dumps([request.messages, request.seed])
    return hashlib.blake2b(identity, digest_size=16).digest()


def compose(request: ChatRequest, directives: Directives) -> list[Answer]:
    """Every choice of the answer. The same request always gets the same."""
    number = int.from_bytes(conversation_digest(request))
    planned = directives.answer_tokens
    if planned is None:
        spread = LONGEST_ANSWER_TOKENS - SHORTEST_ANSWER_TOKENS + 1
        planned = SHORTEST_ANSWER_TOKENS + number % spread
    limit = min(request.max_tokens or MODEL_LIMIT_TOKENS, MODEL_LIMIT_TOKENS)
    return [
        _choice(request, seed=number + index, planned=planned, limit=limit)
        for index in range(request.choices)
    ]


def _choice(request: ChatRequest, *, seed: int, planned: int, limit: int) -> Answer:
    pieces = words.pieces(seed, min(planned, limit))
    if request.stops:
        text = "".join(pieces)
        positions = [text.find(stop) for stop in request.stops if stop in text]
        if positions:
            return Answer(_cut(pieces, min(positions), request.model), "stop")
    return Answer(pieces, "length" if planned > limit else "stop")


def _cut(pieces: list[str], length: int, model: str) -> list[str]:
    """The first `length` characters, as tokens: a word that is cut may become several."""
    kept: list[str] = []
    for piece in pieces:
        if length < len(piece):
            return kept + counting.split(piece[:length], counting.encoding_for(model))
        kept.append(piece)
        length -= len(piece)
    return kept


def _last_user_text(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message["role"] == "user":
            return " ".join(counting.content_texts(message))
    return ""
