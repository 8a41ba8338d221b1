"""Work that takes long enough to be felt: one job of a wallet at a time, the wallets in turn.

Whoever sends a hundred large requests waits for them alone: between two of them everybody else's
next one is done.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
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
    """Lets `at_once` jobs run, of each owner one."""

    def __init__(self, at_once: int) -> None:
        self._places = asyncio.Semaphore(at_once)
        # Of each owner with a job: its lock, and how many jobs need it.
        self._owners: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def enter(self, owner: Hashable) -> AsyncIterator[None]:
        """Wait for an owner's turn; it lasts as long as the block."""
        lock, jobs = self._owners.get(owner) or (asyncio.Lock(), 0)
        self._owners[owner] = (lock, jobs + 1)
        try:
            async with lock, self._places:
                yield
        finally:
            _, jobs = self._owners.pop(owner)
            if jobs > 1:
                self._owners[owner] = (lock, jobs - 1)


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
