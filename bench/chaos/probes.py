"""What is watched during a run: every wallet's balance, and whether each web process serves."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from billing.wallet.commands import figures
from billing.wallet.keys import SHARDS

SAMPLE_S = 0.05
PROBE_S = 0.2
PROBE_TIMEOUT_S = 3.0


class HasUrl(Protocol):
    """A server of Redis, by its address."""

    @property
    def url(self) -> str: ...


@dataclass
class BalanceSampler:
    """Reads all wallets through the product's own function, which answers only when open."""

    # The servers of the wallets: wallet n is at the (n modulo 16 modulo as many)th.
    servers: Sequence[HasUrl]
    wallet_ids: list[int]
    samples: int = 0
    unanswered: int = 0
    overdrawn: list[str] = field(default_factory=list)

    def runs(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Return what samples until cancelled, for each server.

        Each is to be a task of its own: a group cancels its tasks once, and one that takes the
        cancellation for a time-out of its client would go on for ever.
        """
        for number, server in enumerate(self.servers):
            mine = [w for w in self.wallet_ids if w % SHARDS % len(self.servers) == number]
            yield self._sample(server, mine)

    async def _sample(self, server: HasUrl, wallet_ids: list[int]) -> None:
        while True:
            try:
                # Behind a Sentinel it may be another one than before.
                url = await asyncio.to_thread(lambda: server.url)
                await self._sample_for_ever(url, wallet_ids)
            except (redis.RedisError, OSError):
                self.unanswered += 1
                await asyncio.sleep(SAMPLE_S)

    async def _sample_for_ever(self, url: str, wallet_ids: list[int]) -> None:
        client = redis.asyncio.Redis.from_url(
            url, protocol=2, socket_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        async with client:
            while True:
                pipeline = client.pipeline(transaction=False)
                for wallet_id in wallet_ids:
                    pipeline.execute_command(*figures.read(wallet_id).parts())
                replies = await pipeline.execute(raise_on_error=False)
                for wallet_id, reply in zip(wallet_ids, replies, strict=True):
                    self._take(wallet_id, reply)
                await asyncio.sleep(SAMPLE_S)

    def _take(self, wallet_id: int, reply: Any) -> None:
        if isinstance(reply, redis.ConnectionError):
            raise reply
        if not isinstance(reply, list) or reply[0] != b"OK":
            self.unanswered += 1
            return
        self.samples += 1
        base, pend, held = (int(figure) for figure in reply[1:4])
        if min(base - pend - held, base - pend, pend, held) < 0:
            self.overdrawn.append(f"wallet {wallet_id}: base {base}, pend {pend}, held {held}")


@dataclass
class Prober:
    """Asks one web process for a small answer, again and again."""

    role: str
    url: str
    secret: str
    model: str
    # When each probe that was answered was sent, and when its answer came.
    served: list[tuple[float, float]] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Probe until cancelled."""
        timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                asked_at = time.monotonic()
                problem = await self._ask(session)
                if problem is None:
                    self.served.append((asked_at, time.monotonic()))
                else:
                    self.failures[problem] = self.failures.get(problem, 0) + 1
                await asyncio.sleep(PROBE_S)

    async def _ask(self, session: aiohttp.ClientSession) -> str | None:
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": "say 3 words"}],
            "max_tokens": 8,
        }
        headers = {"Authorization": f"Bearer {self.secret}"}
        url = f"{self.url}/v1/chat/completions"
        try:
            async with session.post(url, json=body, headers=headers) as response:
                await response.read()
                return None if response.status == 200 else str(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__
