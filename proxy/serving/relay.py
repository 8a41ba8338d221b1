"""Pass a stream on while it is rebuilt and metered.

Nothing is sent before the answer's first event (or a first comment), so that an error before it is
still answered with a status. After it, an error is an event in the stream without an end marker.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from django.http import HttpResponse

from proxy.errors import AnswerBroken, Interrupted, MalformedAnswer, Reason, is_client_gone
from proxy.http.connection import ALREADY_SENT
from proxy.http.events import EventStream
from proxy.metering.streams import StreamMeter
from proxy.serving.call import Call
from proxy.serving.endings import end_whole
from proxy.serving.replay.recorder import Recorder
from proxy.serving.settling import Settler
from proxy.upstreams.client import MAX_ANSWER_BYTES, UpstreamAnswer

_BOM = b"\xef\xbb\xbf"
# How long an upstream may take to close after its end marker, so that its connection is kept.
CLOSING_S = 1.0


async def relay(
    call: Call,
    answer: UpstreamAnswer,
    meter: StreamMeter,
    *,
    settler: Settler,
    recorder: Recorder,
) -> HttpResponse:
    """Pass a stream on, settle it, and send its end. Raises Interrupted, UpstreamError.

    The call is settled before the end marker is sent, so that a client that sees it is charged.
    """
    stream = EventStream(call.connection, call.admission.headers)
    call.pass_on(stream, meter)
    async with aclosing(answer.chunks()) as chunks:
        await _pass_on(call, chunks, meter, stream, recorder)
        usage, _ = await end_whole(call, settler, meter)
        last_events = meter.closing(usage)
        await recorder.keep(stream.headers, last_events)
        await stream.end(last_events)
        await _exhaust(chunks)
    return ALREADY_SENT


async def _pass_on(
    call: Call,
    chunks: AsyncGenerator[bytes, None],
    meter: StreamMeter,
    stream: EventStream,
    recorder: Recorder,
) -> None:
    """Relay until the upstream's end. Raises Interrupted, UpstreamError.

    An answer that had all but its end marker is whole, even if its upstream falls silent then.
    """
    connection = call.connection
    try:
        await _read_on(call, chunks, meter, stream, recorder)
    except (AnswerBroken, Interrupted) as error:
        if not meter.is_complete or is_client_gone(error):
            raise
    if call.reads_on or not meter.is_complete:
        raise Interrupted(Reason.CLIENT_LEFT) if connection.has_left else meter.failure


async def _read_on(
    call: Call,
    chunks: AsyncGenerator[bytes, None],
    meter: StreamMeter,
    stream: EventStream,
    recorder: Recorder,
) -> None:
    connection = call.connection
    with call.interruptible():
        chunk = await _first_text(call, chunks)
        if chunk.startswith(b"{"):
            # Not a stream, whatever its media type says: all of it comes in one piece.
            await _send(call, stream, recorder, meter.take_whole(await _collect(chunk, chunks)))
            return
        if chunk.startswith(b"<"):
            raise MalformedAnswer("the answer is a page")
        while chunk:
            # An upstream that bills the whole answer is read to its end. Once the client has left,
            # what it sends is dropped, unless the answer is recorded for a retry, or nothing of it
            # was seen yet.
            if recorder.is_recording or call.reads_on or not connection.has_left:
                await _send(call, stream, recorder, meter.feed(chunk))
            call.heard()
            call.leave_once_visible()
            if meter.is_behind:
                await call.catch_up(meter)
            if meter.has_ended:
                return
            chunk = await anext(chunks, b"")
        await _send(call, stream, recorder, meter.flush())


async def _first_text(call: Call, chunks: AsyncGenerator[bytes, None]) -> bytes:
    """Return the beginning of an answer, which may follow blank lines that keep it alive."""
    async for chunk in chunks:
        if text := chunk.removeprefix(_BOM).lstrip():
            return text
        call.heard()
    return b""


async def _collect(first: bytes, chunks: AsyncGenerator[bytes, None]) -> bytes:
    """Read an answer in one piece. Raises AnswerBroken."""
    body = bytearray(first)
    async for chunk in chunks:
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise AnswerBroken(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


async def _send(call: Call, stream: EventStream, recorder: Recorder, events: bytes) -> None:
    if not events:
        return
    recorder.add(events)
    if not call.connection.has_left:
        call.note_first_byte()
        await stream.write(events)


async def _exhaust(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read the answer to its end, so that the connection can be used again."""
    try:
        async with asyncio.timeout(CLOSING_S):
            async for _ in chunks:
                pass
    except (TimeoutError, AnswerBroken):
        return
