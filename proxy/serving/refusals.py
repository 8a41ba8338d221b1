"""What this process refused, by key and reason, until it is added to what all refused.

A request that is served costs nothing here, and one that is refused an addition in memory.
"""

import asyncio
import re
import time

import redis
import structlog

from billing.keys.refusals import Refusal, add_refusals
from proxy.serving.keys import EndedKey, KeyFacts

log = structlog.get_logger(__name__)

ADDED_EVERY_S = 5.0
# Different ones that a process keeps meanwhile. More are not counted.
MOST = 10_000
# Ours look so.
CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
OTHER = "other"


class Refusals:
    """The counts of one web process."""

    def __init__(self) -> None:
        self._counts: dict[Refusal, tuple[int, int]] = {}

    def note(self, key: KeyFacts | EndedKey, *, status: int, code: str) -> None:
        """Count one refused request of a key."""
        known = code if CODE.fullmatch(code) else OTHER
        refusal = Refusal(key.wallet_id, key.api_key_id, status, known)
        count, _ = self._counts.get(refusal, (0, 0))
        if count or len(self._counts) < MOST:
            self._counts[refusal] = (count + 1, int(time.time()))

    async def keep_shared(self) -> None:
        """Add what was counted, every few seconds, until the process stops."""
        while True:
            await asyncio.sleep(ADDED_EVERY_S)
            await self.share()

    async def share(self) -> None:
        """Add what was counted. What Redis did not take is lost: it is no money."""
        counts, self._counts = self._counts, {}
        if counts:
            try:
                await asyncio.to_thread(add_refusals, counts)
            except redis.RedisError as error:
                log.warning("refusals_not_added", error=str(error), count=len(counts))
