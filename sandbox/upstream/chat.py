"""POST /v1/chat/completions"""

import itertools
import secrets
import time
from dataclasses import dataclass
from typing import Any

import orjson

from sandbox.upstream import answers, counting, probabilities, usage
from sandbox.upstream.answers import Answer
from sandbox.upstream.chat_chunks import ChunkWriter, describe_call, finish_reason
from sandbox.upstream.chat_request import ChatRequest
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.playback import Frame, Script
from sandbox.upstream.provider import Provider
from sandbox.upstream.serving import Job, Reply, serve
from sandbox.upstream.sse import DONE

FINGERPRINT = "fp_sandbox0001"

# Unique over restarts, and cheap: a random start, then a count.
_ids = (f"chatcmpl-{secrets.token_hex(8)}{number:08x}" for number in itertools.count(1))


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer worked out, before it is written in either form."""

    request: ChatRequest
    head: dict[str, object]
    answers: list[Answer]
    # What the client is told; None if a fault keeps it back.
    reported: dict[str, object] | None


async def create_chat_completion(exchange: Exchange, provider: Provider) -> None:
    """Answer a chat completion."""
    await serve(exchange, provider, ChatRequest.parse, _work_out)


async def _work_out(request: ChatRequest, job: Job) -> Reply:
    prompt = request.prompt
    directives = answers.read_directives(prompt)
    choices = answers.compose(prompt, directives)
    job.record.is_accepted = True
    counted = await counting.count_prompt(prompt)
    job.record.prompt_tokens = counted.total
    used = usage.sum_usage(counted, choices, directives)
    most = usage.most_tokens(prompt.max_tokens, choices)
    identifier = next(_ids)
    completion = Completion(
        request=request,
        head={
            "id": identifier,
            "object": "chat.completion.chunk" if request.is_stream else "chat.completion",
            "created": int(time.time()),
            "model": request.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        },
        answers=choices,
        reported=usage.distort(job.fault, used, max_tokens=most),
    )
    writer = ChunkWriter(
        head=completion.head,
        wants_usage=request.wants_usage,
        top_logprobs=request.top_logprobs,
        is_legacy=request.is_legacy,
    )
    script = _stream(completion, writer) if request.is_stream else _json(completion)
    speed = job.tokens_per_second
    if directives.tokens_per_second is not None:
        speed = directives.tokens_per_second
    return Reply(identifier, script, writer, speed * prompt.choices)


def _json(completion: Completion) -> Script:
    reported = {} if completion.reported is None else {"usage": completion.reported}
    choices = [
        _describe(index, answer, completion.request)
        for index, answer in enumerate(completion.answers)
    ]
    body = orjson.dumps({**completion.head, "choices": choices, **reported})
    tokens = sum([answer.tokens for answer in completion.answers])
    return Script([(body, tokens, tokens)], usage=completion.reported, promised_length=len(body))


def _describe(index: int, answer: Answer, request: ChatRequest) -> dict[str, Any]:
    """One choice of a JSON answer."""
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.calls else answer.text,
        "refusal": None,
        "annotations": [],
    }
    calls = [describe_call(call, call.argument) for call in answer.calls]
    if calls and request.is_legacy:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    top = request.top_logprobs
    logprobs = None
    if top is not None and not calls:
        content = [probabilities.entry(text, top) for text, _ in answer.pieces]
        logprobs = {"content": content, "refusal": None}
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs,
        "finish_reason": finish_reason(answer, is_legacy=request.is_legacy),
    }


def _stream(completion: Completion, writer: ChunkWriter) -> Script:
    choices = list(enumerate(completion.answers))
    opening = [writer.role(index, answer) for index, answer in choices]
    contents = take_turns([writer.contents(index, answer) for index, answer in choices])
    closing = [writer.finish(index, answer) for index, answer in choices]
    script = Script(opening + contents + closing)
    if completion.request.wants_usage and completion.reported is not None:
        script.usage = completion.reported
        script.usage_position = len(script.frames)
        script.frames.append((writer.usage(completion.reported), 0, 0))
    script.frames.append((DONE, 0, 0))
    return script


def take_turns(columns: list[list[Frame]]) -> list[Frame]:
    """A frame of each choice, then the next of each."""
    if len(columns) == 1:
        return columns[0]
    rows = itertools.zip_longest(*columns)
    return [frame for row in rows for frame in row if frame is not None]
