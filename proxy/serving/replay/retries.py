"""Requests that are sent again get the answer to the first, without another call and charge.

With an `Idempotency-Key`, the same key and body get the same answer for as long as it is kept.
Without one, the official SDKs send the same body again after a time-out, and count the attempts in
`x-stainless-retry-count`: such a retry waits for the call that its first attempt started.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from django.http import HttpResponse

from common.rates import RateState
from proxy.errors import Interrupted, InvalidRequest, Reason, UpstreamUnavailable
from proxy.http.connection import ClientConnection
from proxy.serving.keys import KeyFacts
from proxy.serving.replay.recorder import Recorder
from proxy.serving.replay.recordings import Recorded, State, Ticket
from proxy.serving.runtime import Runtime
from proxy.serving.standing import find_standing

MAX_KEY_CHARS = 255
# The pause between a waiting request's looks for its answer.
POLL_S = 0.1
CONTENT_TYPE = "content-type"
_COUNT = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a request's headers say of it as a repetition."""

    idempotency_key: str
    retries: int

    @classmethod
    def read(cls, header: Callable[[bytes], str]) -> Self:
        """Read a request's headers. Raises InvalidRequest."""
        idempotency_key = header(b"idempotency-key")
        if len(idempotency_key) > MAX_KEY_CHARS:
            raise InvalidRequest(
                f"An Idempotency-Key has at most {MAX_KEY_CHARS} characters.",
                code="invalid_idempotency_key",
            )
        count = header(b"x-stainless-retry-count")
        return cls(idempotency_key, int(count) if _COUNT.fullmatch(count) else 0)


async def find_kept(
    runtime: Runtime,
    connection: ClientConnection,
    key: KeyFacts,
    repeat: Repeat,
    recorder: Recorder,
    *,
    is_stream: bool,
    is_precounted: bool = False,
) -> HttpResponse | None:
    """Return the answer to a request's first attempt. None if this is the first.

    Begins a recording if there is an `Idempotency-Key`. A request that was counted among the
    requests per minute (`is_precounted`) does not count among the inquiries. Raises InvalidRequest
    if that key was used for another request, and RateLimited beyond the inquiries per minute or
    MOST_WAITING.
    """
    waiter = Waiter(runtime, connection, key, recorder.ticket, is_counted=not is_precounted)
    if repeat.idempotency_key:
        return await waiter.claim(recorder)
    if repeat.retries and not is_stream:
        return await waiter.join()
    return None


class Waiter:
    """A request that may get the answer to another one.

    It holds nothing, so no hold checks its key or limits its number; both are done here.
    """

    def __init__(
        self,
        runtime: Runtime,
        connection: ClientConnection,
        key: KeyFacts,
        ticket: Ticket,
        *,
        is_counted: bool,
    ) -> None:
        self._is_counted = is_counted
        self._runtime = runtime
        self._connection = connection
        self._key = key
        self._rate: RateState | None = None
        self.ticket = ticket

    async def claim(self, recorder: Recorder) -> HttpResponse | None:
        """Return the answer to the first request with this key, or None if this is the first.

        If the first ends without an answer to keep, one of the waiting requests takes its place.
        """
        while (found := await recorder.claim()) is not None:
            rate = await self._count_once()
            self._check_same(found)
            if (ended := await self._wait(found, rate)) is not None:
                return self._replay(ended)
        return None

    async def join(self) -> HttpResponse | None:
        """Return the answer to the attempt that this one repeats.

        None if that attempt is unknown, ended without an answer, or its answer was too large.
        """
        found = await self._runtime.recordings.find(self.ticket)
        if found is not None:
            found = await self._wait(found, await self._count_once())
        return None if found is None or found.state is State.UNKEPT else self._replay(found)

    async def _count_once(self) -> RateState:
        """Count this request once among the inquiries per minute. Raises RateLimited."""
        if self._rate is None:
            standing = await find_standing(
                self._runtime, self._connection, self._key, is_counted=self._is_counted
            )
            self._key, self._rate = standing.key, standing.rate
        return self._rate

    async def _wait(self, found: Recorded, rate: RateState) -> Recorded | None:
        """Wait until the first request has ended. None if it ended without an answer to keep."""
        if found.state is not State.RUNNING:
            return found
        self._connection.watch(_ignore)
        with self._runtime.waiting.enter(self.ticket.wallet_id, rate):
            ended = await self._wait_for_end()
        # The key may have been revoked meanwhile.
        await find_standing(self._runtime, self._connection, self._key, is_counted=False)
        return ended

    async def _wait_for_end(self) -> Recorded | None:
        while True:
            if self._runtime.is_draining:
                raise UpstreamUnavailable("This server is about to stop. Try again in a moment.")
            await asyncio.sleep(POLL_S)
            found = await self._runtime.recordings.wait_for(self.ticket)
            if self._connection.has_left:
                raise Interrupted(Reason.CLIENT_LEFT)
            if found is None or found.state is not State.RUNNING:
                return found

    def _replay(self, found: Recorded) -> HttpResponse:
        if found.state is State.UNKEPT:
            raise InvalidRequest(
                f"The answer to the first request ({found.request_id}) was charged, but was too "
                "large to be kept, or there was no room for it. To ask again, and pay again, use "
                "another Idempotency-Key.",
                status=409,
                code="idempotent_answer_not_kept",
                headers={"x-should-retry": "false"},
            )
        headers = dict(found.headers)
        return HttpResponse(
            self.ticket.unseal(found.sealed),
            content_type=headers.pop(CONTENT_TYPE),
            headers=headers | {"x-tokenproxy-replay-of": found.request_id},
        )

    def _check_same(self, found: Recorded) -> None:
        if found.digest != self.ticket.digest():
            raise InvalidRequest(
                "This Idempotency-Key was used for another request: a key belongs to one body.",
                status=409,
                code="idempotency_key_reused",
                headers={"x-should-retry": "false"},
            )


def _ignore() -> None:
    """Do nothing when the client leaves: a waiting request checks for itself."""
