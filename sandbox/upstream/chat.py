"""POST /v1/chat/completions"""

import itertools
import secrets
import time
from dataclasses import dataclass

import orjson

from sandbox.upstream import answers, counting
from sandbox.upstream.answers import Answer, Directives
from sandbox.upstream.breakage import break_json, break_stream, distort_usage
from sandbox.upstream.chat_request import ChatRequest
from sandbox.upstream.errors import Headers
from sandbox.upstream.exchange import JSON, Exchange
from sandbox.upstream.faults import Fault, Stage, fault_of_model
from sandbox.upstream.playback import Frame, Player, Script
from sandbox.upstream.provider import ORGANISATION, Provider
from sandbox.upstream.refusals import strike
from sandbox.upstream.sse import DONE, ChunkWriter
from sandbox.upstream.tally import Record

FINGERPRINT = "fp_sandbox0001"
EVENT_STREAM = b"text/event-stream; charset=utf-8"

# Unique over restarts, and cheap: a random start, then a count.
_ids = (f"chatcmpl-{secrets.token_hex(8)}{number:08x}" for number in itertools.count(1))


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer worked out, before it is written in either form."""

    request: ChatRequest
    head: dict[str, object]
    answers: list[Answer]
    usage: dict[str, object]
    # What the client is told; None if a fault keeps it back.
    reported: dict[str, object] | None
    # How much faster than one choice all choices together are spoken.
    tokens_per_second: float

    @property
    def completion_tokens(self) -> int:
        return sum([len(answer.pieces) for answer in self.answers])


async def create_chat_completion(exchange: Exchange, provider: Provider) -> None:
    """Answer a chat completion and keep its record."""
    with provider.tally.record(exchange.request_id) as record:
        payload = await exchange.read_json()
        request = ChatRequest.parse(payload)
        record.model = request.model
        record.is_stream = request.is_stream
        provider.tally.keep_parameters(record, payload)
        name, speed = answers.split_speed(request.model)
        fault = fault_of_model(name) or provider.fault_rules.draw(request.model)
        if fault is not None:
            record.fault = fault.name
            if fault.stage is Stage.BEFORE:
                conversation = answers.conversation_digest(request)
                if await strike(fault, exchange, provider, record, conversation):
                    return
        completion = await _work_out(request, record, fault, speed, provider)
        await _send(completion, exchange, record, fault)


async def _work_out(
    request: ChatRequest,
    record: Record,
    fault: Fault | None,
    speed: float | None,
    provider: Provider,
) -> Completion:
    record.is_accepted = True
    record.prompt_tokens = await counting.count_prompt(request.messages, request.model)
    directives = answers.read_directives(request)
    choices = answers.compose(request, directives)
    usage = _usage(record.prompt_tokens, choices, directives)
    most = request.choices * (request.max_tokens or max(len(a.pieces) for a in choices))
    return Completion(
        request=request,
        head={
            "id": next(_ids),
            "object": "chat.completion.chunk" if request.is_stream else "chat.completion",
            "created": int(time.time()),
            "model": request.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        },
        answers=choices,
        usage=usage,
        reported=distort_usage(fault, usage, max_tokens=most),
        tokens_per_second=_speed(directives, speed, provider) * request.choices,
    )


def _speed(directives: Directives, of_model: float | None, provider: Provider) -> float:
    if directives.tokens_per_second is not None:
        return directives.tokens_per_second
    return provider.tokens_per_second if of_model is None else of_model


def _usage(prompt: int, choices: list[Answer], directives: Directives) -> dict[str, object]:
    completion = sum([len(answer.pieces) for answer in choices])
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": min(directives.cached_tokens, prompt),
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


async def _send(
    completion: Completion, exchange: Exchange, record: Record, fault: Fault | None
) -> None:
    record.status = 200
    script = (_stream if completion.request.is_stream else _json)(completion, fault)
    exchange.begin(200, _headers(completion, script, exchange))
    await Player(exchange, record, completion.tokens_per_second).play(script)
    if not script.is_whole:
        record.outcome = "failed"


def _headers(completion: Completion, script: Script, exchange: Exchange) -> Headers:
    elapsed_ms = int((time.perf_counter() - exchange.started_at_s) * 1000)
    headers: Headers = [
        (b"content-type", EVENT_STREAM if completion.request.is_stream else JSON),
        (b"openai-organization", ORGANISATION.encode()),
        (b"openai-processing-ms", b"%d" % elapsed_ms),
        (b"x-request-id", b"req_upstream_" + str(completion.head["id"]).encode()[9:]),
    ]
    if completion.request.is_stream:
        headers.append((b"cache-control", b"no-cache"))
    elif not script.is_bytewise:
        headers.append((b"content-length", b"%d" % script.promised_length))
    return headers


def _json(completion: Completion, fault: Fault | None) -> Script:
    usage = {} if completion.reported is None else {"usage": completion.reported}
    choices: list[dict[str, object]] = [
        {
            "index": index,
            "message": {
                "role": "assistant",
                "content": answer.text,
                "refusal": None,
                "annotations": [],
            },
            "logprobs": None,
            "finish_reason": answer.finish_reason,
        }
        for index, answer in enumerate(completion.answers)
    ]
    body = orjson.dumps({**completion.head, "choices": choices, **usage})
    frame = (body, completion.completion_tokens)
    script = Script([frame], usage=completion.reported, promised_length=len(body))
    if fault is not None and fault.stage is Stage.ANSWER:
        break_json(fault, script)
    return script


def _stream(completion: Completion, fault: Fault | None) -> Script:
    request = completion.request
    writer = ChunkWriter(head=completion.head, wants_usage=request.wants_usage)
    opening: list[Frame] = [(writer.role(index), 0) for index in range(request.choices)]
    contents = _contents(completion, writer)
    closing: list[Frame] = [
        (writer.finish(index, answer.finish_reason), 0)
        for index, answer in enumerate(completion.answers)
    ]
    script = Script(opening + contents + closing)
    if request.wants_usage and completion.reported is not None:
        script.usage = completion.reported
        script.usage_position = len(script.frames)
        script.frames.append((writer.usage(completion.reported), 0))
    script.frames.append((DONE, 0))
    if fault is not None and fault.stage is Stage.ANSWER:
        break_stream(fault, script, opening=len(opening), contents=len(contents), writer=writer)
    return script


def _contents(completion: Completion, writer: ChunkWriter) -> list[Frame]:
    """A chunk per token; the choices take turns."""
    columns = [
        writer.contents(index, answer.pieces) for index, answer in enumerate(completion.answers)
    ]
    if len(columns) == 1:
        return [(chunk, 1) for chunk in columns[0]]
    rows = itertools.zip_longest(*columns)
    return [(chunk, 1) for row in rows for chunk in row if chunk is not None]
