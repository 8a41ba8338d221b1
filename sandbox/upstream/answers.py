"""What the provider says: what depends on the request alone, or on directives in it."""

import re
from dataclasses import dataclass, field

import orjson

from sandbox.upstream import counting, words
from sandbox.upstream.calling import PlannedCall, plan_calls
from sandbox.upstream.errors import ApiError
from sandbox.upstream.prompt import Prompt
from sandbox.upstream.quirks import reasoning_tokens
from sandbox.upstream.schema_values import UnsupportedSchemaError, make_object, make_value

SHORTEST_ANSWER_TOKENS = 16
LONGEST_ANSWER_TOKENS = 64
# No published model answers more in one go, whatever a directive says.
MODEL_LIMIT_TOKENS = 128_000
MAX_CALLS = 64

DIRECTIVE = re.compile(r"\[\[(tokens|cached|tps|reasoning|calls)=(\d{1,9}(?:\.\d{1,6})?)\]\]")
SAY_WORDS = re.compile(r"\bsay (\d{1,9}) words\b", re.IGNORECASE)
SPEED_SUFFIX = re.compile(r"-(\d{1,9}(?:\.\d{1,6})?)tps$")

# A piece that can stand alone, and its tokens.
Piece = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Directives:
    """What the last user message asks of the emulator itself."""

    answer_tokens: int | None = None
    cached_tokens: int = 0
    tokens_per_second: float | None = None
    reasoning_tokens: int | None = None
    calls: int | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a tool. Its name and its argument are tokens that the model made."""

    planned: PlannedCall
    name_tokens: int
    pieces: list[Piece]

    @property
    def argument(self) -> str:
        return "".join([text for text, _ in self.pieces])

    @property
    def tokens(self) -> int:
        return self.name_tokens + sum([tokens for _, tokens in self.pieces])


@dataclass(frozen=True, slots=True)
class Answer:
    """One choice: thoughts that nobody sees, then words or calls, and why it ended."""

    pieces: list[Piece]
    finish_reason: str
    calls: list[Call] = field(default_factory=list)
    reasoning_tokens: int = 0
    # Words of the emulator's own list: nothing in them needs escaping in JSON.
    is_plain: bool = False

    @property
    def text(self) -> str:
        return "".join([text for text, _ in self.pieces])

    @property
    def tokens(self) -> int:
        """Completion tokens, the thoughts included."""
        said = sum([tokens for _, tokens in self.pieces])
        return self.reasoning_tokens + said + sum([call.tokens for call in self.calls])


def read_directives(prompt: Prompt) -> Directives:
    """Find `say N words` and the `[[name=N]]` of the README in the last user text."""
    text = prompt.last_user_text()
    found = dict(DIRECTIVE.findall(text)) if "[[" in text else {}
    length = found.get("tokens")
    if length is None:
        said = SAY_WORDS.search(text)
        length = said[1] if said else None
    speed = found.get("tps")
    return Directives(
        answer_tokens=_whole(length),
        cached_tokens=_whole(found.get("cached")) or 0,
        tokens_per_second=None if speed is None else float(speed),
        reasoning_tokens=_whole(found.get("reasoning")),
        calls=_whole(found.get("calls")),
    )


def _whole(text: str | None) -> int | None:
    return None if text is None else int(float(text))


def split_speed(model: str) -> tuple[str, float | None]:
    """A model's name without its speed, and the speed: `gpt-4o-50tps` is 50 tokens per second."""
    match = SPEED_SUFFIX.search(model)
    return (model[: match.start()], float(match[1])) if match else (model, None)


def compose(prompt: Prompt, directives: Directives) -> list[Answer]:
    """Every choice of the answer. The same request always gets the same. Raises ApiError 400."""
    number = int.from_bytes(prompt.digest())
    limit = MODEL_LIMIT_TOKENS
    if prompt.max_tokens is not None:
        limit = min(prompt.max_tokens, MODEL_LIMIT_TOKENS)
    thoughts = directives.reasoning_tokens
    if thoughts is None:
        thoughts = reasoning_tokens(prompt.model, prompt.effort)
    thoughts = min(thoughts, limit)
    try:
        return [
            _choice(prompt, directives, seed=number + index, thoughts=thoughts, limit=limit)
            for index in range(prompt.choices)
        ]
    except UnsupportedSchemaError as error:
        raise ApiError(
            400, f"Invalid schema: {error}.", param="schema", code="invalid_json_schema"
        ) from None


def _choice(
    prompt: Prompt, directives: Directives, *, seed: int, thoughts: int, limit: int
) -> Answer:
    left = limit - thoughts
    count = None if directives.calls is None else min(directives.calls, MAX_CALLS)
    if planned := plan_calls(prompt, seed=seed, count=count):
        return _call_tools(planned, prompt, thoughts=thoughts, left=left)
    if prompt.answer_format.is_json:
        return _write_json(prompt, seed=seed, thoughts=thoughts, left=left)
    return _speak(prompt, directives, seed=seed, thoughts=thoughts, left=left)


def _call_tools(planned: list[PlannedCall], prompt: Prompt, *, thoughts: int, left: int) -> Answer:
    """The calls; where the maximum cuts into one, the rest is left out."""
    vocabulary = counting.encoding_for(prompt.model)
    calls: list[Call] = []
    for plan in planned:
        name_tokens = counting.count_text(plan.tool.name, vocabulary)
        if name_tokens > left:
            return Answer([], "length", calls, thoughts)
        pieces = counting.weigh(plan.argument, vocabulary)
        kept = _limit(pieces, left - name_tokens)
        calls.append(Call(plan, name_tokens, kept))
        left -= calls[-1].tokens
        if len(kept) < len(pieces):
            return Answer([], "length", calls, thoughts)
    return Answer([], "tool_calls", calls, thoughts)


def _write_json(prompt: Prompt, *, seed: int, thoughts: int, left: int) -> Answer:
    text = prompt.last_user_text()
    schema = prompt.answer_format.schema
    if schema is None:
        value = make_object(seed=seed, text=text)
    else:
        value = make_value(schema, seed=seed, text=text)
    written = orjson.dumps(value).decode()
    pieces = counting.weigh(written, counting.encoding_for(prompt.model))
    return _end(pieces, prompt, thoughts=thoughts, left=left)


def _speak(
    prompt: Prompt, directives: Directives, *, seed: int, thoughts: int, left: int
) -> Answer:
    planned = directives.answer_tokens
    if planned is None:
        spread = LONGEST_ANSWER_TOKENS - SHORTEST_ANSWER_TOKENS + 1
        # The first choice's seed, so that all choices are equally long.
        planned = SHORTEST_ANSWER_TOKENS + int.from_bytes(prompt.digest()) % spread
    said = words.pieces(seed, min(planned, left))
    pieces = [(piece, 1) for piece in said]
    if prompt.stops:
        return _end(pieces, prompt, thoughts=thoughts, left=left, is_cut=planned > left)
    reason = "length" if planned > left else "stop"
    return Answer(pieces, reason, reasoning_tokens=thoughts, is_plain=True)


def _end(
    pieces: list[Piece], prompt: Prompt, *, thoughts: int, left: int, is_cut: bool = False
) -> Answer:
    """Words as they end: at a stop text, at the maximum or by themselves."""
    kept = _limit(pieces, left)
    text = "".join([piece for piece, _ in kept])
    positions = [text.find(stop) for stop in prompt.stops if stop in text]
    if positions:
        short = text[: min(positions)]
        kept = counting.weigh(short, counting.encoding_for(prompt.model))
        return Answer(kept, "stop", reasoning_tokens=thoughts)
    reason = "length" if is_cut or len(kept) < len(pieces) else "stop"
    return Answer(kept, reason, reasoning_tokens=thoughts)


def _limit(pieces: list[Piece], most: int) -> list[Piece]:
    """As many pieces from the start as have at most so many tokens."""
    kept: list[Piece] = []
    for piece in pieces:
        most -= piece[1]
        if most < 0:
            break
        kept.append(piece)
    return kept
