"""How many requests are under way at each provider, told by every web process once a second.

Counted from the calls that the process keeps anyway: a request costs nothing more. Staff see the
sums on the health page, so that a provider that they have paused can be seen to drain.
"""

import asyncio
import time
import uuid
from collections.abc import Iterable

import orjson

from proxy.serving.call import Call, Phase
from proxy.serving.inflight import Inflight
from proxy.upstreams import shared
from proxy.upstreams.health import Health

SHARED_EVERY_S = 1.0
AT_THE_UPSTREAM = (Phase.ASKED, Phase.ANSWERED)


class UnderWay:
    """What this process has under way."""

    def __init__(self, inflight: Inflight, health: Health) -> None:
        self._inflight = inflight
        self._health = health
        self._name = uuid.uuid4().hex
        self._is_shown = False

    async def keep_shared(self) -> None:
        """Tell it for as long as the process lives."""
        while True:
            await asyncio.sleep(SHARED_EVERY_S)
            await self.share()

    async def share(self) -> None:
        """Tell what is under way now; a process that has nothing is not listed."""
        found = count_open(self._inflight, time.monotonic())
        if found:
            packed = orjson.dumps([int(time.time() * 1_000), found], option=orjson.OPT_NON_STR_KEYS)
            await self._health.send("HSET", shared.OPEN, self._name, packed)
        elif self._is_shown:
            await self._health.send("HDEL", shared.OPEN, self._name)
        self._is_shown = bool(found)


def count_open(calls: Iterable[Call], now: float) -> dict[int, tuple[int, int]]:
    """Return for each provider how many calls it has, and since how many ms the oldest."""
    found: dict[int, tuple[int, int]] = {}
    for call in calls:
        if call.attempt is not None and call.phase in AT_THE_UPSTREAM:
            provider_id = call.attempt.route.upstream.id
            count, oldest_ms = found.get(provider_id, (0, 0))
            age_ms = int((now - call.asked_at) * 1_000)
            found[provider_id] = count + 1, max(oldest_ms, age_ms)
    return found
