"""One call of an endpoint that generates: its record, its faults, its answer."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sandbox.upstream import answers
from sandbox.upstream.breakage import Breakable, break_json, break_stream
from sandbox.upstream.errors import Headers
from sandbox.upstream.exchange import JSON, Exchange
from sandbox.upstream.faults import Fault, Stage, fault_of_model
from sandbox.upstream.playback import Player, Script
from sandbox.upstream.provider import ORGANISATION, Provider
from sandbox.upstream.refusals import strike
from sandbox.upstream.tally import Record
from sandbox.upstream.validation import Payload

EVENT_STREAM = b"text/event-stream; charset=utf-8"


class Request(Protocol):
    """A body that was validated."""

    @property
    def model(self) -> str: ...

    @property
    def is_stream(self) -> bool: ...

    def digest(self) -> bytes:
        """What makes two requests the same to a fault that counts tries."""


@dataclass(frozen=True, slots=True)
class Job:
    """The circumstances of one request."""

    provider: Provider
    record: Record
    fault: Fault | None
    # Tokens per second of each choice, unless the request says otherwise; 0 is full speed.
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, ready to be played or broken."""

    identifier: str
    script: Script
    breakable: Breakable
    # Of all choices together.
    tokens_per_second: float


R = TypeVar("R", bound=Request)


async def serve(
    exchange: Exchange,
    provider: Provider,
    parse: Callable[[Payload], R],
    work_out: Callable[[R, Job], Awaitable[Reply]],
) -> None:
    """Answer a request and keep its record."""
    with provider.tally.record(exchange.request_id) as record:
        record.path = exchange.path
        record.key_number = provider.number_of(exchange.bearer())
        payload = await exchange.read_json()
        request = parse(payload)
        record.model = request.model
        record.is_stream = request.is_stream
        provider.tally.keep_parameters(record, payload)
        name, speed = answers.split_speed(request.model)
        fault = fault_of_model(name) or provider.fault_rules.draw(request.model, record.key_number)
        if fault is not None:
            record.fault = fault.name
            if fault.stage is Stage.BEFORE and await strike(
                fault, exchange, provider, record, request.digest()
            ):
                return
        speed = provider.tokens_per_second if speed is None else speed
        reply = await work_out(request, Job(provider, record, fault, speed))
        if fault is not None and fault.stage is Stage.ANSWER:
            (break_stream if request.is_stream else break_json)(
                fault, reply.script, reply.breakable
            )
        await _send(reply, exchange, record)


async def _send(reply: Reply, exchange: Exchange, record: Record) -> None:
    record.status = 200
    exchange.begin(200, _headers(reply, exchange, is_stream=record.is_stream))
    await Player(exchange, record, reply.tokens_per_second).play(reply.script)
    if not reply.script.is_whole:
        record.outcome = "failed"


def _headers(reply: Reply, exchange: Exchange, *, is_stream: bool) -> Headers:
    elapsed_ms = int((time.perf_counter() - exchange.started_at_s) * 1000)
    headers: Headers = [
        (b"content-type", EVENT_STREAM if is_stream else JSON),
        (b"openai-organization", ORGANISATION.encode()),
        (b"openai-processing-ms", b"%d" % elapsed_ms),
        (b"x-request-id", b"req_upstream_" + reply.identifier.partition("-")[2].encode()),
    ]
    if is_stream:
        headers.append((b"cache-control", b"no-cache"))
    elif not reply.script.is_bytewise:
        headers.append((b"content-length", b"%d" % reply.script.promised_length))
    return headers
