"""POST /v1/completions"""

import itertools
import secrets
import time
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sandbox.upstream import answers, counting, probabilities, usage
from sandbox.upstream.answers import Answer
from sandbox.upstream.breakage import ERROR
from sandbox.upstream.chat import FINGERPRINT, take_turns
from sandbox.upstream.chat_chunks import BROKEN_EVENT
from sandbox.upstream.chat_request import (
    MAX_CHOICES,
    MAX_TOKENS_LIMIT,
    SEED_LIMIT,
    check_sampling,
    parse_model,
    parse_stops,
    parse_wants_usage,
)
from sandbox.upstream.counting import PromptCount
from sandbox.upstream.errors import ApiError
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.playback import Frame, Script
from sandbox.upstream.prompt import Prompt
from sandbox.upstream.provider import Provider
from sandbox.upstream.serving import Job, Reply, serve
from sandbox.upstream.sse import DONE, event
from sandbox.upstream.texts import parse_texts
from sandbox.upstream.validation import Payload, check_integer, check_type

DEFAULT_MAX_TOKENS = 16
DEFAULT_PROMPT = "<|endoftext|>"
MAX_PROMPTS = 20
MAX_LOGPROBS = 5
MAX_BEST_OF = 20

_ids = (f"cmpl-{secrets.token_hex(8)}{number:08x}" for number in itertools.count(1))


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What this provider acts on."""

    # One for each text to go on with.
    prompts: list[Prompt]
    texts: list[str]
    # Answers made for each text, of which `choices` are given.
    best_of: int
    choices: int
    has_echo: bool
    logprobs: int | None
    is_stream: bool
    wants_usage: bool

    @property
    def model(self) -> str:
        return self.prompts[0].model

    def digest(self) -> bytes:
        """What makes two requests the same."""
        return b"".join([prompt.digest() for prompt in self.prompts])

    @classmethod
    def parse(cls, payload: Payload) -> "CompletionRequest":
        """Validate a body. Raises ApiError 400 that names the parameter."""
        model = parse_model(payload)
        is_stream = bool(check_type(payload, "stream", bool))
        texts = _texts(payload, model)
        choices = check_integer(payload, "n", 1, MAX_CHOICES) or 1
        maximum = check_integer(payload, "max_tokens", 0, MAX_TOKENS_LIMIT)
        prompt = Prompt(
            model=model,
            messages=[],
            max_tokens=DEFAULT_MAX_TOKENS if maximum is None else maximum,
            choices=_best_of(payload, choices, is_stream=is_stream),
            stops=parse_stops(payload),
            seed=check_integer(payload, "seed", -SEED_LIMIT, SEED_LIMIT) or 0,
        )
        check_sampling(payload)
        check_type(payload, "suffix", str)
        return cls(
            prompts=[replace(prompt, messages=[_as_message(text)]) for text in texts],
            texts=texts,
            best_of=prompt.choices,
            choices=choices,
            has_echo=bool(check_type(payload, "echo", bool)),
            logprobs=check_integer(payload, "logprobs", 0, MAX_LOGPROBS),
            is_stream=is_stream,
            wants_usage=parse_wants_usage(payload, is_stream),
        )


def _texts(payload: Payload, model: str) -> list[str]:
    value = payload.get("prompt")
    value = DEFAULT_PROMPT if value is None else value
    texts = parse_texts(value, "prompt", counting.encoding_for(model))
    if len(texts) > MAX_PROMPTS:
        raise ApiError(400, f"'prompt' holds more than {MAX_PROMPTS} texts.", param="prompt")
    return texts


def _best_of(payload: Payload, choices: int, *, is_stream: bool) -> int:
    best_of = check_integer(payload, "best_of", 0, MAX_BEST_OF) or choices
    if best_of < choices:
        raise ApiError(400, "'best_of' must not be smaller than 'n'.", param="best_of")
    if is_stream and best_of > choices:
        raise ApiError(400, "Can't stream the best of several answers.", param="best_of")
    return best_of


def _as_message(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


async def create_completion(exchange: Exchange, provider: Provider) -> None:
    """Go on with one or more texts."""
    await serve(exchange, provider, CompletionRequest.parse, _work_out)


async def _work_out(request: CompletionRequest, job: Job) -> Reply:
    vocabulary = counting.encoding_for(request.model)
    job.record.is_accepted = True
    prompt_tokens = sum(counting.count_text(text, vocabulary) for text in request.texts)
    job.record.prompt_tokens = prompt_tokens
    # Directives count from the first text that has some.
    directives = answers.read_directives(request.prompts[0])
    made = [answers.compose(prompt, directives) for prompt in request.prompts]
    everything = list(itertools.chain.from_iterable(made))
    used = usage.sum_usage(PromptCount(prompt_tokens), everything, directives)
    most = usage.most_tokens(request.prompts[0].max_tokens, everything)
    reported = usage.distort(job.fault, used, max_tokens=most)
    identifier = next(_ids)
    writer = CompletionWriter(request, identifier)
    given = [(text, row[: request.choices]) for text, row in zip(request.texts, made, strict=True)]
    pairs = [(text, answer) for text, row in given for answer in row]
    hidden = used["completion_tokens"] - sum([answer.tokens for _, answer in pairs])
    if request.is_stream:
        script = _stream(pairs, reported, writer, wants_usage=request.wants_usage)
    else:
        script = _json(pairs, reported, writer, hidden=hidden)
    speed = job.tokens_per_second
    if directives.tokens_per_second is not None:
        speed = directives.tokens_per_second
    return Reply(identifier, script, writer, speed * len(everything))


class CompletionWriter:
    """Writes one answer: a chunk of a stream is a small answer."""

    def __init__(self, request: CompletionRequest, identifier: str) -> None:
        self._request = request
        self._vocabulary = counting.encoding_for(request.model)
        self._head = {
            "id": identifier,
            "object": "text_completion",
            "created": int(time.time()),
            "model": request.model,
            "system_fingerprint": FINGERPRINT,
        }
        self._tail: dict[str, object] = {"usage": None} if request.wants_usage else {}

    def whole(self, index: int, text: str, answer: Answer) -> dict[str, Any]:
        """A choice of a JSON answer."""
        echo = self._echo(text)
        said = [piece for piece, _ in answer.pieces]
        return self._choice(index, [*echo, *said], answer.finish_reason)

    def frames(self, index: int, text: str, answer: Answer) -> list[Frame]:
        """The chunks of a choice, the text itself first if it is to be echoed."""
        frames: list[Frame] = []
        offset = 0
        if echo := self._echo(text):
            frames.append((self._chunk(self._choice(index, echo, None)), 0, 0))
            offset = len(text)
        for piece, count in answer.pieces:
            choice = self._choice(index, [piece], None, offset=offset)
            frames.append((self._chunk(choice), count, count))
            offset += len(piece)
        return frames

    def finish(self, index: int, answer: Answer) -> Frame:
        """The last chunk of a choice."""
        return self._chunk(self._choice(index, [], answer.finish_reason)), 0, 0

    def usage(self, reported: dict[str, object]) -> bytes:
        """The chunk with the usage and no choices."""
        return event({**self._head, "choices": [], "usage": reported})

    def body(self, choices: list[dict[str, Any]], reported: dict[str, object] | None) -> bytes:
        """A JSON answer."""
        told = {} if reported is None else {"usage": reported}
        return orjson.dumps({**self._head, "choices": choices, **told})

    def padding(self, size: int) -> bytes:
        choice = self._choice(0, [], None)
        return event({**self._head, "choices": [choice], "obfuscation": "x" * size, **self._tail})

    def broken_event(self) -> bytes:
        return BROKEN_EVENT

    def error_event(self) -> bytes:
        return event({"error": ERROR})

    def failed_event(self) -> bytes:
        return self.error_event()

    def failed_body(self) -> bytes:
        return orjson.dumps({"error": ERROR})

    def _echo(self, text: str) -> list[str]:
        if not self._request.has_echo:
            return []
        return counting.split(text, self._vocabulary)

    def _choice(
        self, index: int, pieces: list[str], reason: str | None, *, offset: int = 0
    ) -> dict[str, Any]:
        count = self._request.logprobs
        logprobs = None if count is None else _logprobs(pieces, count, offset)
        return {
            "text": "".join(pieces),
            "index": index,
            "logprobs": logprobs,
            "finish_reason": reason,
        }

    def _chunk(self, choice: dict[str, Any]) -> bytes:
        return event({**self._head, "choices": [choice], **self._tail})


def _logprobs(pieces: list[str], count: int, offset: int) -> dict[str, Any]:
    offsets = itertools.accumulate([len(piece) for piece in pieces], initial=offset)
    return {
        "tokens": pieces,
        "token_logprobs": [probabilities.logprob(piece) for piece in pieces],
        "top_logprobs": [dict(probabilities.likely(piece, count)) for piece in pieces],
        "text_offset": list(offsets)[:-1],
    }


Pairs = list[tuple[str, Answer]]
Reported = dict[str, object] | None


def _json(pairs: Pairs, reported: Reported, writer: CompletionWriter, *, hidden: int) -> Script:
    choices = [writer.whole(index, *pair) for index, pair in enumerate(pairs)]
    body = writer.body(choices, reported)
    tokens = hidden + sum([answer.tokens for _, answer in pairs])
    return Script([(body, tokens, tokens)], usage=reported, promised_length=len(body))


def _stream(
    pairs: Pairs, reported: Reported, writer: CompletionWriter, *, wants_usage: bool
) -> Script:
    contents = take_turns([writer.frames(index, *pair) for index, pair in enumerate(pairs)])
    closing = [writer.finish(index, answer) for index, (_, answer) in enumerate(pairs)]
    script = Script(contents + closing)
    if wants_usage and reported is not None:
        script.usage = reported
        script.usage_position = len(script.frames)
        script.frames.append((writer.usage(reported), 0, 0))
    script.frames.append((DONE, 0, 0))
    return script
