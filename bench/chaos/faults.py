"""Strikes, carried out: one after another in each lane, side by side between lanes."""

import asyncio
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

from bench.chaos.house import House
from bench.chaos.kill_points import Order, give, has_fired, withdraw
from bench.chaos.schedule import Strike
from devstack.errors import LaunchError
from devstack.valkey import Valkey

POLL_S = 0.05
# How long a victim has to come past the step it is to die at; then a signal takes it instead.
ORDER_PATIENCE_S = 5.0
RECOVERY_PATIENCE_S = 8.0


@dataclass(frozen=True, slots=True)
class Hit:
    """A strike as it happened. `at` is when it began to hurt, on the monotonic clock."""

    kind: str
    target: str
    at: float
    # What it was that struck: a named step, or a signal.
    how: str


@dataclass
class Faults:
    """Carries a schedule out against a house."""

    house: House
    hits: list[Hit] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _orders_of_worker: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def run(self, schedule: list[Strike]) -> None:
        """Strike as scheduled; a lane that is late goes on without a pause."""
        began = time.monotonic()
        lanes: dict[str, list[Strike]] = {}
        for strike in schedule:
            lanes.setdefault(strike.lane, []).append(strike)
        await asyncio.gather(*(self._run_lane(lane, began) for lane in lanes.values()))

    async def _run_lane(self, strikes: list[Strike], began: float) -> None:
        for strike in strikes:
            await asyncio.sleep(max(began + strike.at_s - time.monotonic(), 0))
            try:
                await self._strike(strike)
            except (LaunchError, redis.RedisError) as error:
                self.errors.append(f"{strike}: {error}")

    async def _strike(self, strike: Strike) -> None:
        match strike.kind:
            case "web kill" | "beat kill":
                await self._kill(strike)
            case "worker kill":
                async with self._orders_of_worker:
                    await self._kill(strike)
            case "web freeze":
                await self._freeze(strike)
            case "postgres stop":
                self._note(strike, "immediate shutdown")
                await asyncio.to_thread(self._stop_postgres, strike.seconds)
            case _:
                async with self._orders_of_worker:
                    await self._lose_redis(strike)

    def _note(self, strike: Strike, how: str) -> None:
        self.hits.append(Hit(strike.kind, strike.target, time.monotonic(), how))

    # Processes.

    async def _kill(self, strike: Strike) -> None:
        role, order = strike.target, strike.order
        before = self.house.count_deaths(role)
        if order is not None and await self._carry_out(role, order, ORDER_PATIENCE_S):
            self._note(strike, f"{order.when} {order.point.partition(':')[2]}")
        else:
            self._note(strike, "signal")
            self.house.kill(role)
        await asyncio.to_thread(self.house.await_up, role, after_deaths=before)

    async def _carry_out(self, role: str, order: Order, patience_s: float) -> bool:
        """Order a death and wait for it. False if nobody came past the step."""
        give(self.house.orders, role, order)
        return await self._is_carried_out(role, order, patience_s)

    async def _is_carried_out(self, role: str, order: Order, patience_s: float) -> bool:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if has_fired(self.house.orders, role, order):
                return True
            await asyncio.sleep(POLL_S)
        withdraw(self.house.orders, role)
        return has_fired(self.house.orders, role, order)

    async def _freeze(self, strike: Strike) -> None:
        process = self.house.stack.child(strike.target)
        process.signal(signal.SIGSTOP)
        await asyncio.sleep(strike.seconds)
        process.signal(signal.SIGCONT)
        # Counted from here: nobody serves while frozen.
        self._note(strike, f"SIGSTOP for {strike.seconds:.0f} s")

    # Services.

    def _stop_postgres(self, seconds: float) -> None:
        postgres = self.house.stack.postgres
        assert postgres is not None
        # Immediate: no checkpoint, no good-byes; the next start replays its log.
        postgres.process.signal(signal.SIGQUIT)
        postgres.process.wait(20)
        postgres.stop()
        time.sleep(seconds)
        postgres.start()

    async def _lose_redis(self, strike: Strike) -> None:
        order = strike.order
        deaths_before = self.house.count_deaths("worker")
        if order is not None:
            give(self.house.orders, "worker", order)
        if strike.kind == "redis rewind":
            await asyncio.to_thread(self._rewind_redis, strike)
        elif strike.kind == "redis flush":
            await asyncio.to_thread(self._flush_redis, strike)
        elif strike.kind == "redis failover":
            await asyncio.to_thread(self._fail_over, strike)
        else:
            await asyncio.to_thread(self._kill_redis, strike)
        if order is not None:
            await self._await_death_in_recovery(order, deaths_before)

    async def _await_death_in_recovery(self, order: Order, deaths_before: int) -> None:
        if await self._is_carried_out("worker", order, RECOVERY_PATIENCE_S):
            how = f"{order.when} {order.point.partition(':')[2]}, recovering"
            self.hits.append(Hit("worker kill", "worker", time.monotonic(), how))
            await asyncio.to_thread(self.house.await_up, "worker", after_deaths=deaths_before)

    def _kill_webs(self, strike: Strike) -> None:
        """Redis lost and processes killed together: the journals alone know what was going on."""
        if strike.with_webs:
            for role in self.house.web_roles:
                self.hits.append(Hit("web kill", role, time.monotonic(), f"with a {strike.kind}"))
                self.house.kill(role)

    def _redis_of(self, strike: Strike) -> Valkey:
        number = strike.target.removeprefix("redis") or "1"
        return self.house.redis(int(number))

    def _kill_redis(self, strike: Strike) -> None:
        valkey = self._redis_of(strike)
        self._note(strike, "SIGKILL")
        valkey.kill()
        self._kill_webs(strike)
        time.sleep(strike.seconds)
        self.house.bring_back(valkey)

    def _rewind_redis(self, strike: Strike) -> None:
        """Bring Redis back as it was some seconds ago, as a lost disk or a late replica would."""
        valkey = self._redis_of(strike)
        copy = valkey.folder / "rewind"
        shutil.rmtree(copy, ignore_errors=True)
        copy_living(valkey.data, copy)
        time.sleep(strike.seconds)
        self._note(strike, f"{strike.seconds:.1f} s back")
        valkey.kill()
        self._kill_webs(strike)
        shutil.rmtree(valkey.data)
        copy.rename(valkey.data)
        self.house.bring_back(valkey)

    def _fail_over(self, strike: Strike) -> None:
        """Kill a primary whose replica learnt nothing for a time, and let that one take over."""
        sentinel = self.house.stack.sentinel
        assert sentinel is not None
        primary = sentinel.primary
        with sentinel.lagging():
            time.sleep(strike.seconds)
            self._note(strike, f"to a replica {strike.seconds:.1f} s behind")
            primary.kill()
            self._kill_webs(strike)
        sentinel.await_failover(primary)
        self.house.bring_back(primary)

    def _flush_redis(self, strike: Strike) -> None:
        valkey = self._redis_of(strike)
        self._note(strike, "FLUSHALL")
        with redis.Redis.from_url(valkey.url, socket_timeout=5) as client:
            client.flushall()
        self._kill_webs(strike)


def copy_living(data: Path, to: Path) -> None:
    """Copy an append-only file that is being written: its tail may be torn, which Redis mends."""
    shutil.copytree(data, to, ignore=shutil.ignore_patterns("temp-*", "*.pid"))
