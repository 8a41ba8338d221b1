"""Pass a stream on while it is metered, and end it: for the client, for the upstream, in credits.

The answer's first event is awaited before anything is sent, so that trouble before it is still an
answer with a status. After it, trouble is an event in the stream and no end marker.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from django.conf import settings

from billing.wallet.usage import Settlement
from proxy.api.error_table import to_api_error
from proxy.errors import (
    AnswerBroken,
    Interrupted,
    Reason,
    UpstreamError,
    is_client_gone,
    is_upstreams_fault,
)
from proxy.http.connection import AlreadySent
from proxy.metering.streams import StreamMeter
from proxy.serving.endings import (
    Outcome,
    estimate_usage,
    settle_answer,
    settle_nothing,
    settle_usage,
)
from proxy.serving.inflight import Call
from proxy.serving.replay.recorder import Recorder
from proxy.serving.settling import Settler
from proxy.upstreams.client import UpstreamAnswer

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    # Or nginx, in front of us, collects the stream before it passes it on.
    "x-accel-buffering": "no",
}
COMMENT = b": keep-alive\n\n"
# How long an upstream may take to close after its end marker, so that its connection is kept.
CLOSING_S = 1.0


class Relay:
    """One stream on its way from an upstream to a client."""

    def __init__(
        self,
        settler: Settler,
        call: Call,
        meter: StreamMeter,
        answer: UpstreamAnswer,
        *,
        max_completion_tokens: int,
        headers: dict[str, str],
        recorder: Recorder,
    ) -> None:
        self._settler = settler
        self._call = call
        self._connection = call.connection
        self._answer = answer
        self._max_completion_tokens = max_completion_tokens
        self._headers = headers
        self._recorder = recorder
        self._meter = meter
        # What is being counted in a thread, during which nobody else may use the meter.
        self._counting: asyncio.Future[None] | None = None
        self._read_at = self._opened_at = time.monotonic()
        self._has_begun = False
        self._comment: asyncio.Task[None] | None = None

    async def run(self) -> AlreadySent:
        """Pass the stream on, settle it, and send its end.

        Raises what broke it if the client has been sent nothing yet, or is gone.
        """
        self._call.progress = self._progress
        self._call.on_tick = self._on_tick
        async with aclosing(self._answer.chunks()) as chunks:
            try:
                await self._pass_on(chunks)
            except (Interrupted, UpstreamError) as error:
                await self._end_broken(error)
            except BaseException:
                self._call.on_tick = None
                self._settler.spawn(self._settle_broken(Outcome.BROKEN))
                raise
            else:
                await self._end_complete()
                await _exhaust(chunks)
        return AlreadySent()

    async def _pass_on(self, chunks: AsyncGenerator[bytes, None]) -> None:
        """Relay until the upstream's end. Raises Interrupted, AnswerBroken."""
        if not self._answer.is_event_stream:
            raise AnswerBroken("the answer is not a stream of events")
        meter = self._meter
        with self._call.interruptible():
            async for chunk in chunks:
                # An upstream that bills the whole answer is heard out, but nobody listens, unless
                # the answer is kept for a request that is sent again.
                if self._recorder.is_recording or not self._connection.has_left:
                    await self._send(meter.feed(chunk))
                self._note_read()
                if meter.is_behind:
                    await self._catch_up()
                if meter.has_ended:
                    break
            else:
                await self._send(meter.flush())
        if not meter.is_complete:
            raise _break(self._connection.has_left)

    def _note_read(self) -> None:
        """Take note that the upstream speaks: from here on, only its silences are limited."""
        self._read_at = time.monotonic()
        if not self._has_begun:
            self._has_begun = True
            self._call.limit(Reason.NO_ANSWER, None)

    async def _send(self, events: bytes) -> None:
        if not events:
            return
        if self._recorder.is_recording:
            self._recorder.add(events)
        if self._connection.has_left:
            return
        if self._call.first_byte_ms is None:
            self._call.first_byte_ms = self._connection.age_ms
        if not self._connection.has_started:
            await self._start()
        await self._connection.write(events)

    async def _start(self) -> None:
        await self._connection.start(200, [*HEADERS.items(), *self._headers.items()])

    async def _end_complete(self) -> None:
        """Settle before the end marker, so that a client that sees it finds itself charged."""
        self._call.on_tick = None
        usage, settlement = await settle_answer(
            self._call,
            self._meter,
            outcome=Outcome.COMPLETED,
            max_completion_tokens=self._max_completion_tokens,
        )
        await self._settler.settle(self._call.facts, settlement)
        closing = self._meter.closing(usage)
        if self._recorder.is_recording:
            self._recorder.add(closing)
            await self._recorder.keep({**HEADERS, **self._headers})
        async with self._patience():
            await self._send(closing)
            await self._connection.finish()

    async def _end_broken(self, error: Interrupted | UpstreamError) -> None:
        """Settle what was delivered, and tell the client if there still is one."""
        self._call.on_tick = None
        is_gone = is_client_gone(error)
        if is_upstreams_fault(error):
            self._answer.note_broken(type(error).__name__)
        await self._settle_broken(Outcome.CLIENT_LEFT if is_gone else Outcome.BROKEN)
        if is_gone or not self._connection.has_started:
            raise error
        async with self._patience():
            await self._connection.write(self._meter.failing(to_api_error(error)))
            await self._connection.finish()

    @asynccontextmanager
    async def _patience(self) -> AsyncIterator[None]:
        """Give up a client that does not read the end either: the timer no longer looks here."""
        try:
            async with asyncio.timeout(settings.SLOW_READER_S):
                yield
        except TimeoutError as error:
            raise Interrupted(Reason.CLIENT_TOO_SLOW) from error

    async def _settle_broken(self, outcome: Outcome) -> None:
        await self._counted()
        settlement = settle_nothing(self._call, outcome=outcome)
        # An answer that broke before its first piece is free, even if its opening was relayed.
        if outcome != Outcome.BROKEN or self._meter.has_text:
            _, settlement = await settle_answer(
                self._call,
                self._meter,
                outcome=outcome,
                max_completion_tokens=self._max_completion_tokens,
            )
        await self._settler.settle(self._call.facts, settlement)

    async def _progress(self) -> Settlement:
        """Say what the stream should be charged if this process died now."""
        await self._counted()
        if not self._meter.has_text:
            return settle_nothing(self._call, outcome=Outcome.ABANDONED)
        usage = await estimate_usage(self._call, self._meter)
        return settle_usage(self._call, usage, outcome=Outcome.ABANDONED)

    async def _catch_up(self) -> None:
        """Count in a thread what has piled up: the other streams of this process go on."""
        self._counting = asyncio.ensure_future(asyncio.to_thread(self._meter.catch_up))
        await asyncio.shield(self._counting)

    async def _counted(self) -> None:
        """Wait until nothing is counted in a thread, be it of a task that was cancelled."""
        if self._counting is not None:
            await asyncio.wait({self._counting})

    def _on_tick(self, now: float) -> None:
        """Look after the stream; called every second while it is open."""
        connection = self._connection
        if connection.is_writing:
            if now - connection.writing_since > settings.SLOW_READER_S:
                self._call.interrupt(Reason.CLIENT_TOO_SLOW)
        elif self._has_begun and now - self._read_at > self._call.idle_timeout_s:
            self._call.interrupt(Reason.SILENCE)
        elif now - max(connection.written_at, self._opened_at) >= settings.KEEP_ALIVE_S:
            # Kept, or the event loop may collect it half way.
            self._comment = asyncio.create_task(self._send_comment())

    async def _send_comment(self) -> None:
        if not self._connection.has_started:
            await self._start()
        await self._connection.write(COMMENT)


def _break(has_left: bool) -> Interrupted | AnswerBroken:
    return Interrupted(Reason.CLIENT_LEFT) if has_left else AnswerBroken("the stream broke off")


async def _exhaust(chunks: AsyncGenerator[bytes, None]) -> None:
    """Read to the end of the connection's answer, or it could not be used again."""
    try:
        async with asyncio.timeout(CLOSING_S):
            async for _ in chunks:
                pass
    except (TimeoutError, AnswerBroken):
        return
