"""What a web process opens once and all its requests share.

The ASGI lifespan starts and stops it. Stopping waits for the requests in flight by our own rule,
since uvicorn's graceful time-out would cut streams before they are settled.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Self

import structlog
from django.conf import settings

from billing.wallet.client import WalletClient
from billing.wallet.journal import Journal
from proxy.http.bodies import BodyBudget
from proxy.metering import encodings
from proxy.serving.fair import LongWork
from proxy.serving.headroom import Headroom
from proxy.serving.inflight import Inflight
from proxy.serving.keys import KeyCache
from proxy.serving.refusals import Refusals
from proxy.serving.replay.recordings import Recordings
from proxy.serving.replay.waiting import WaitingRoom
from proxy.serving.settling import Settler
from proxy.serving.throttle import Throttle
from proxy.serving.under_way import UnderWay
from proxy.serving.wallet_loader import WalletLoader
from proxy.upstreams.attempts import RetryBudget, Upstreams
from proxy.upstreams.catalogue import Catalogue
from proxy.upstreams.client import UpstreamClient
from proxy.upstreams.health import Health

log = structlog.get_logger(__name__)

# The time that the last call needs to end once it is interrupted: a count, the journal, Redis.
LAST_ENDS_S = 5.0

# How often a journal is checked that no request writes to.
JOURNAL_CHECK_S = 1.0

# How long the start waits for the catalogue. Without PostgreSQL the process starts nevertheless,
# but is not ready.
FIRST_READ_S = 5.0


@dataclass
class Runtime:
    """The clients, caches and background tasks of one web process."""

    wallet: WalletClient
    upstreams: Upstreams
    journal: Journal
    catalogue: Catalogue
    keys: KeyCache
    inflight: Inflight
    under_way: UnderWay
    settler: Settler
    recordings: Recordings
    bodies: BodyBudget
    work: LongWork = field(default_factory=LongWork)
    throttle: Throttle = field(default_factory=Throttle)
    refusals: Refusals = field(default_factory=Refusals)
    headroom: Headroom = field(default_factory=Headroom)
    waiting: WaitingRoom = field(default_factory=WaitingRoom)
    loader: WalletLoader = field(default_factory=WalletLoader)
    is_draining: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @classmethod
    async def start(cls) -> Self:
        """Open everything, and load what the first request would otherwise wait for."""
        wallet = await WalletClient.connect(settings.REDIS_SHARDS)
        journal = Journal.open(settings.JOURNAL_DIR)
        health, inflight = Health(settings.REDIS_URL), Inflight(wallet, journal)
        runtime = cls(
            wallet=wallet,
            upstreams=Upstreams(
                await UpstreamClient.connect(max_connections=settings.UPSTREAM_MAX_CONNECTIONS),
                health,
                RetryBudget(),
            ),
            journal=journal,
            catalogue=Catalogue(),
            keys=KeyCache(),
            inflight=inflight,
            under_way=UnderWay(inflight, health),
            settler=Settler(wallet, journal),
            recordings=Recordings.connect(settings.REDIS_URL),
            bodies=BodyBudget(settings.BODY_BUDGET_BYTES),
        )
        await asyncio.to_thread(encodings.warm)
        runtime._tasks = [
            asyncio.create_task(runtime.inflight.watch()),
            asyncio.create_task(runtime.catalogue.keep_fresh()),
            asyncio.create_task(runtime.upstreams.health.keep_shared()),
            asyncio.create_task(runtime.upstreams.health.listen()),
            asyncio.create_task(runtime.refusals.keep_shared()),
            asyncio.create_task(runtime.under_way.keep_shared()),
            asyncio.create_task(runtime._look_after_journal()),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_READ_S):
                await runtime.catalogue.wait_read()
        return runtime

    async def _look_after_journal(self) -> None:
        """Rotate the journal even without traffic, so that a worker can adopt old entries."""
        while True:
            await asyncio.sleep(JOURNAL_CHECK_S)
            self.journal.catch_up()

    def begin_drain(self) -> None:
        """Begin to stop: running calls have DRAIN_TIMEOUT_S to end."""
        if not self.is_draining:
            self.is_draining = True
            self.inflight.drain(settings.DRAIN_TIMEOUT_S)

    async def stop(self) -> None:
        """Wait for the requests in flight, settle, and close everything."""
        self.begin_drain()
        try:
            async with asyncio.timeout(settings.DRAIN_TIMEOUT_S + LAST_ENDS_S):
                await self.inflight.wait_empty()
        except TimeoutError:
            log.error("drain_timed_out", requests=len(self.inflight))
        await self.settler.drain(LAST_ENDS_S)
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.refusals.share()
        await self.under_way.share()
        await self.upstreams.close()
        await self.wallet.close()
        await self.recordings.close()
        self.journal.close()
        self.work.close()
