"""Records one request's answer, from its claim to its end.

A request with an `Idempotency-Key` is recorded from its beginning. One without is recorded only
once its client has left before a whole answer came, for as long as an SDK's retry may come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType

import structlog
from django.conf import settings

from billing.exceptions import WalletError
from proxy.serving.replay.recordings import LEASE_S, Recorded, Recordings, State, Ticket
from proxy.serving.settling import Settler

log = structlog.get_logger(__name__)

# If Redis is away, an answer is offered to it for about as long as a restart takes.
KEEP_ATTEMPTS = 20
KEEP_PAUSE_S = 0.5

LIMITS = "x-ratelimit-"


class Recorder:
    """Records the answer to one request, if it has to be recorded at all.

    A context manager: a recording without an answer is dropped when the block ends. The settler
    runs the tasks that outlive the request.
    """

    def __init__(
        self, recordings: Recordings, ticket: Ticket, request_id: str, settler: Settler
    ) -> None:
        self.ticket = ticket
        # When a retry was last seen waiting for the answer, by the monotonic clock.
        self.awaited_at = float("-inf")
        self._recordings = recordings
        self._request_id = request_id
        self._settler = settler
        self._running = b""
        self._keep_s = 0.0
        self._claiming: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._parts: list[bytes] = []
        self._size_bytes = 0
        self._is_ended = False

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Drop a recording that has no answer, so that a retry starts anew."""
        if self.is_recording and not self._is_ended:
            self._settler.spawn(self._drop())

    @property
    def is_recording(self) -> bool:
        """Whether the answer will be kept."""
        return self._renewing is not None

    async def claim(self) -> Recorded | None:
        """Start recording and return None, or return the recording that exists already."""
        found = await self._begin(settings.IDEMPOTENCY_KEEP_S)
        if found is None:
            self._renewing = asyncio.create_task(self._renew())
        return found

    def client_left(self) -> None:
        """Start recording for a possible retry, without waiting for Redis."""
        if self._renewing is None:
            self._claiming = asyncio.create_task(self._announce())
            self._renewing = asyncio.create_task(self._renew())

    def add(self, part: bytes) -> None:
        """Take a part of an answer that is recorded. Keeps nothing of too large an answer."""
        if not self.is_recording:
            return
        self._size_bytes += len(part)
        if self._is_small:
            self._parts.append(part)
        else:
            self._parts.clear()

    async def keep(self, headers: Mapping[str, str], last_part: bytes) -> None:
        """End the recording with the answer and its last part; later, if Redis is away."""
        if not self.is_recording:
            return
        self.add(last_part)
        self._is_ended = True
        # The state of the limits is of no use to a later reader.
        lasting = {name: headers[name] for name in headers if not name.startswith(LIMITS)}
        unkept = self._value(State.UNKEPT, lasting)
        kept = unkept
        if self._is_small:
            kept = self._value(State.KEPT, lasting, self.ticket.seal(b"".join(self._parts)))
        try:
            await self._end(kept, unkept)
        except WalletError:
            self._settler.spawn(self._end_later(kept, unkept))

    async def _drop(self) -> None:
        self._stop()
        try:
            await self._recordings.drop(self.ticket, self._running)
        except WalletError:
            # It goes when its lease runs out.
            log.info("recording_not_dropped", request_id=self._request_id)

    @property
    def _is_small(self) -> bool:
        return self._size_bytes <= int(settings.IDEMPOTENCY_MAX_BYTES)

    async def _begin(self, keep_s: float) -> Recorded | None:
        self._keep_s = keep_s
        self._running = self._value(State.RUNNING, {})
        return await self._recordings.claim(self.ticket, self._running)

    async def _announce(self) -> None:
        try:
            await self._begin(settings.CLIENT_LEFT_GRACE_S)
        except WalletError:
            # The answer, when it comes, is kept all the same if Redis is back.
            log.info("recording_not_announced", request_id=self._request_id)

    async def _renew(self) -> None:
        """Renew the recording's lease, and note when a retry waits, which keeps the call going."""
        while True:
            await asyncio.sleep(LEASE_S / 3)
            try:
                is_awaited = await self._recordings.renew(self.ticket, self._running)
            except WalletError:
                continue
            if is_awaited:
                self.awaited_at = time.monotonic()

    async def _end(self, kept: bytes, unkept: bytes) -> None:
        if self._claiming is not None:
            await asyncio.wait({self._claiming})
        await self._recordings.keep(
            self.ticket, self._running, kept=kept, unkept=unkept, seconds=self._keep_s
        )
        self._stop()

    async def _end_later(self, kept: bytes, unkept: bytes) -> None:
        for _ in range(KEEP_ATTEMPTS):
            await asyncio.sleep(KEEP_PAUSE_S)
            try:
                await self._end(kept, unkept)
            except WalletError:
                continue
            return
        self._stop()
        log.warning("answer_not_kept", request_id=self._request_id)

    def _stop(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    def _value(self, state: State, headers: dict[str, str], sealed: bytes = b"") -> bytes:
        digest = self.ticket.digest()
        return Recorded(state, self._request_id, digest, headers, sealed).pack()
