"""POST /v1/responses"""

import secrets

import orjson

from sandbox.upstream import answers, counting, usage
from sandbox.upstream.answers import Answer
from sandbox.upstream.exchange import Exchange
from sandbox.upstream.playback import Script
from sandbox.upstream.provider import Provider
from sandbox.upstream.response_events import EventWriter
from sandbox.upstream.response_output import (
    Output,
    ResponseObject,
    as_response_usage,
    build_output,
)
from sandbox.upstream.response_request import ResponseRequest
from sandbox.upstream.serving import Job, Reply, serve
from sandbox.upstream.validation import Payload


async def create_response(exchange: Exchange, provider: Provider) -> None:
    """Go on with a conversation."""

    def parse(payload: Payload) -> ResponseRequest:
        return ResponseRequest.parse(payload, provider.conversations)

    await serve(exchange, provider, parse, _work_out)


async def _work_out(request: ResponseRequest, job: Job) -> Reply:
    prompt = request.prompt
    directives = answers.read_directives(prompt)
    [answer] = answers.compose(prompt, directives)
    job.record.is_accepted = True
    counted = await counting.count_prompt(prompt)
    job.record.prompt_tokens = counted.total
    used = usage.sum_usage(counted, [answer], directives)
    most = usage.most_tokens(prompt.max_tokens, [answer])
    reported = usage.distort(job.fault, used, max_tokens=most)
    identifier = f"resp_{secrets.token_hex(24)}"
    response = ResponseObject(request, identifier)
    output = build_output(request, answer)
    if request.is_stored:
        job.provider.conversations.store(identifier, request.items, output.items)
    writer = EventWriter(response, request.top_logprobs)
    whole = response.ended(answer, output, as_response_usage(reported))
    if request.is_stream:
        script = _stream(whole, answer, output, writer)
        script.usage = reported
    else:
        body = orjson.dumps(whole)
        frame = (body, answer.tokens, answer.tokens)
        script = Script([frame], usage=reported, promised_length=len(body))
    speed = job.tokens_per_second
    if directives.tokens_per_second is not None:
        speed = directives.tokens_per_second
    return Reply(identifier, script, writer, speed)


def _stream(
    whole: dict[str, object], answer: Answer, output: Output, writer: EventWriter
) -> Script:
    frames = [*writer.opening(), *writer.contents(answer, output), writer.closing(whole, answer)]
    return Script(frames, usage_position=len(frames) - 1)
