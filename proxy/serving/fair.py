"""Work that takes long enough to be felt: one job of a wallet at a time, the wallets in turn.

Whoever sends a hundred large requests waits for them alone: between two of them everybody else's
next one is done.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from proxy.metering.counts import KnownCounts

P = ParamSpec("P")
R = TypeVar("R")

# The tokenizer releases the interpreter while it works. More threads would only take processor
# time from the event loop.
TOKENIZER_THREADS = 2
# A shorter timer is as long, and costs more than the rest is worth.
LEAST_REST_S = 0.001


class FairQueue:
    """Lets `at_once` jobs run, of each owner one; the owners of the others take turns.

    Nothing is awaited where a place is free, as it nearly always is.
    """

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._running: set[Hashable] = set()
        # The jobs that wait, by their owners; the owner that is next comes first.
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}

    def enter(self, owner: Hashable) -> "Place":
        """Wait for an owner's turn; it lasts as long as the block."""
        return Place(self, owner)

    async def take(self, owner: Hashable) -> None:
        """Take a place. Whoever got one leaves it."""
        if self._free and owner not in self._running and owner not in self._waiting:
            self._free -= 1
            self._running.add(owner)
            return
        job = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(job)
        try:
            await job
        except asyncio.CancelledError:
            if job.cancelled():
                self._give_up(owner, job)
            else:
                # The place was given just before.
                self.leave(owner)
            raise

    def leave(self, owner: Hashable) -> None:
        """Leave a place to the next job of an owner that has none."""
        self._running.remove(owner)
        self._free += 1
        if jobs := self._waiting.pop(owner, None):
            # Behind all others that wait.
            self._waiting[owner] = jobs
        for waiting in tuple(self._waiting):
            if waiting not in self._running and self._begin_next(waiting):
                return

    def _begin_next(self, owner: Hashable) -> bool:
        """Begin an owner's next job. False if all of them were cancelled."""
        jobs = self._waiting.pop(owner)
        while jobs:
            job = jobs.popleft()
            if job.done():
                continue
            if jobs:
                self._waiting[owner] = jobs
            self._free -= 1
            self._running.add(owner)
            job.set_result(None)
            return True
        return False

    def _give_up(self, owner: Hashable, job: asyncio.Future[None]) -> None:
        jobs = self._waiting.get(owner, deque())
        if job in jobs:
            jobs.remove(job)
            if not jobs:
                del self._waiting[owner]


class Place:
    """A block in which an owner has a place. A class: a generator would be slower."""

    __slots__ = ("_owner", "_queue")

    def __init__(self, queue: FairQueue, owner: Hashable) -> None:
        self._queue = queue
        self._owner = owner

    async def __aenter__(self) -> None:
        await self._queue.take(self._owner)

    async def __aexit__(self, *error: object) -> None:
        self._queue.leave(self._owner)


class LongWork:
    """What large requests need of a process, so that small ones hardly notice. One per process."""

    def __init__(self) -> None:
        self.counts = KnownCounts()
        self._steps = FairQueue(1)
        self._counts = FairQueue(TOKENIZER_THREADS)
        # The rest that steps have not taken yet.
        self._owed_s = 0.0
        self._threads = ThreadPoolExecutor(TOKENIZER_THREADS, thread_name_prefix="tokenizer")

    async def step(
        self, wallet_id: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Do a step that holds the interpreter, such as parsing; then rest for as long as it took.

        A thread would not help: the interpreter is held there, too. So at most half of the event
        loop's time goes into such steps, however many wait.
        """
        return await self._do(wallet_id, partial(function, *args, **kwargs), rests=1)

    async def read(self, wallet_id: int, look: Callable[[bytes], None], part: bytes) -> None:
        """Look at a part of a large body; then rest, for to receive it cost as much again.

        What comes meanwhile waits in the client's own buffers.
        """
        await self._do(wallet_id, partial(look, part), rests=3)

    async def _do(self, wallet_id: int, step: Callable[[], R], *, rests: int) -> R:
        async with self._steps.enter(wallet_id):
            started = time.perf_counter()
            try:
                return step()
            finally:
                await self._rest(rests * (time.perf_counter() - started))

    async def _rest(self, seconds: float) -> None:
        """Let others work at once, and for so long; short rests are taken together."""
        self._owed_s += seconds
        due_s = self._owed_s if self._owed_s >= LEAST_REST_S else 0.0
        self._owed_s -= due_s
        await asyncio.sleep(due_s)

    async def count(
        self, wallet_id: int, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Count tokens in a thread. A count that is cancelled still ends before the next begins."""
        async with self._counts.enter(wallet_id):
            loop = asyncio.get_running_loop()
            counting = loop.run_in_executor(self._threads, partial(function, *args, **kwargs))
            try:
                return await asyncio.shield(counting)
            except asyncio.CancelledError:
                await asyncio.wait({counting})
                raise

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
