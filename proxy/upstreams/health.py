"""Which upstreams and keys may be tried: circuit breakers and spared keys, shared by processes.

    closed ── failures ──> open ── pause is over ──> one try of one process ── it worked ──> closed
                            └────────── twice the pause, if it failed ──────────┘

A request passes two circuits: the provider's opens when it can't be reached several times in a
row, the route's when too large a share of its answers fails. A request reads this process' memory
only, which is kept up to date in the background: a change in one process wakes all of them, and
outcomes are reported once a second, or at once after a failure. Only the try of a circuit whose
pause is over asks Redis, so that exactly one process makes it.

Without Redis every circuit counts as closed: circuits protect upstreams and guard no money.
"""

import asyncio
import time
import uuid
from collections.abc import Coroutine
from typing import Any

import structlog

from billing.wallet.connection import CommandRefused, Connection, ConnectionLost
from proxy.database import in_database
from proxy.upstreams import shared
from proxy.upstreams.circuits import GUARD_NONE, GUARD_RATE, GUARD_ROW, Passage, Tally
from proxy.upstreams.ejection import alarm_quota, eject_key
from proxy.upstreams.routes import Upstream, UpstreamKey, UpstreamRoute
from proxy.upstreams.shared import CircuitLimits, Shared
from proxy.upstreams.verdicts import Blame, Verdict

log = structlog.get_logger(__name__)

REPORT_S = 1.0
# How long a listener's XREAD blocks. Below the connection's own time-out.
LISTEN_MS = 2_000
# The pause before the next XREAD when Redis is away.
PAUSE_S = 1.0

# How long a key is spared after a 429: as long as the upstream says, within these bounds.
LEAST_COOLING_S = 1.0
DEFAULT_COOLING_S = 5.0
MOST_COOLING_S = 300.0
# Long, because a person has to pay into the account.
QUOTA_COOLING_S = 900.0
# By the end of this time every process has read that the key is ejected.
EJECTION_MARK_S = 600.0
# For one model only, if the provider has no other key.
LAST_KEY_COOLING_S = 60.0
# How far a try may exceed its time limits before another process may make one.
LEASE_SLACK_S = 5.0

REDIS_AWAY = (ConnectionLost, CommandRefused)


class Health:
    """What this process knows of upstreams. One per process."""

    def __init__(self, redis_url: str, *, limits: CircuitLimits | None = None) -> None:
        self.limits = limits or CircuitLimits()
        self._redis = Connection(redis_url)
        # A connection of its own: XREAD blocks, and other commands would have to wait for it.
        self._ear = Connection(redis_url)
        self._tally = Tally()
        self._must_report = asyncio.Event()
        # For each open circuit, when it may be tried, and how long another try may still run.
        self._open: dict[str, tuple[float, float]] = {}
        self._marks: dict[str, float] = {}
        self._doing: set[asyncio.Task[None]] = set()

    # What a request asks.

    async def enter(self, route: UpstreamRoute) -> Passage | None:
        """Return a passage to try a route, or None if a circuit is open. The caller closes it."""
        passage = Passage(self, route)
        for circuit in (route.upstream.circuit, route.circuit):
            if circuit not in self._open:
                continue
            probe_id = await self._take_probe(circuit, route.upstream)
            if probe_id is None:
                passage.close()
                return None
            passage.probes[circuit] = probe_id
        return passage

    def is_spared(self, key: UpstreamKey, route: UpstreamRoute) -> bool:
        """Tell whether a key is not to be used now, at all or for this model."""
        if not self._marks:
            return False
        now = time.monotonic()
        names = (key.mark, busy_mark(key, route))
        return any(self._marks.get(name, 0.0) > now for name in names)

    def is_open(self, circuit: str) -> bool:
        """Tell whether a circuit keeps requests away, as far as this process knows."""
        return circuit in self._open

    # What a request tells.

    def note_answer(self, route: UpstreamRoute, key: UpstreamKey, *, latency_ms: int) -> None:
        """Count an answer that has begun, for its provider and key. `note_ended` is the route's."""
        self._tally.note_ok(route.upstream.circuit, GUARD_ROW)
        self._tally.note_ok(f"k{key.id}", GUARD_NONE, latency_ms=latency_ms)

    def note_ended(self, route: UpstreamRoute, broken: str = "", *, latency_ms: int = 0) -> None:
        """Count an answer that has ended for its route: whole, or broken for the reason given."""
        if broken:
            self._tally.note_failed(route.circuit, GUARD_RATE, broken)
            self._must_report.set()
        else:
            self._tally.note_ok(route.circuit, GUARD_RATE, latency_ms=latency_ms)

    def note_failure(
        self,
        route: UpstreamRoute,
        key: UpstreamKey,
        verdict: Verdict,
        *,
        retry_after_s: float | None = None,
    ) -> None:
        """Count a failure, and spare or eject the key if the failure speaks against it."""
        blame, why = verdict.blame, verdict.summary
        if blame is Blame.PROVIDER:
            self._tally.note_failed(route.upstream.circuit, GUARD_ROW, why)
        elif blame is Blame.ROUTE:
            self._tally.note_failed(route.circuit, GUARD_RATE, why)
        else:
            self._tally.note_ok(route.upstream.circuit, GUARD_ROW)
        if blame in {Blame.KEY_REVOKED, Blame.KEY_EXHAUSTED, Blame.KEY_BUSY}:
            self._tally.note_failed(f"k{key.id}", GUARD_NONE, why)
            self._spare(route, key, verdict, retry_after_s)
        self._must_report.set()

    def end_probe(self, circuit: str, probe_id: str, *, verdict: str, error: str = "") -> None:
        """Report the outcome of a try: "ok", "failed", or "" if it was not made."""
        self.spawn(self._ask_quietly("ended", circuit, probe_id, verdict, error))

    # What runs in the background.

    async def keep_shared(self) -> None:
        """Report outcomes for as long as the process lives."""
        while True:
            try:
                async with asyncio.timeout(REPORT_S):
                    await self._must_report.wait()
            except TimeoutError:
                pass
            self._must_report.clear()
            await self.report()

    async def listen(self) -> None:
        """Learn of changes by any process, for as long as this one lives."""
        seen: bytes | str = "0-0"
        wait = ("XREAD", "BLOCK", LISTEN_MS, "STREAMS", shared.CHANGES)
        while True:
            try:
                found = await self._ear.command(*wait, seen)
                if found:
                    seen = found[0][1][-1][0]
                await self._ask("read")
            except REDIS_AWAY:
                self._forget_circuits()
                await asyncio.sleep(PAUSE_S)

    async def report(self) -> None:
        """Report outcomes since the last report."""
        seen = self._tally.take()
        if seen:
            await self._ask_quietly("report", *seen)

    async def send(self, *command: Any) -> None:
        """Send something that nobody needs if Redis is away."""
        try:
            await self._redis.command(*command)
        except REDIS_AWAY:
            log.warning("upstream_health_not_shared", what=command[0])

    async def finish(self) -> None:
        """Report outcomes, and wait for background tasks, LEASE_SLACK_S at most."""
        await self.report()
        if self._doing:
            await asyncio.wait(self._doing, timeout=LEASE_SLACK_S)

    async def close(self) -> None:
        """Report the rest, and close the connections. The loops must have been stopped."""
        await self.finish()
        await self._redis.close()
        await self._ear.close()

    def spawn(self, deed: Coroutine[Any, Any, None]) -> None:
        """Run a task that no request waits for."""
        task = asyncio.create_task(deed)
        self._doing.add(task)
        task.add_done_callback(self._doing.discard)

    async def _take_probe(self, circuit: str, upstream: Upstream) -> str | None:
        """Take the one try of a circuit whose pause is over. None if another request has it."""
        now = time.monotonic()
        if now < max(self._open[circuit]):
            return None
        probe_id = uuid.uuid4().hex
        lease_s = upstream.connect_timeout_s + upstream.first_byte_timeout_s + LEASE_SLACK_S
        try:
            answer = await self._ask("probe", circuit, probe_id, int(lease_s * 1_000))
        except REDIS_AWAY:
            self._forget_circuits()
            return probe_id
        return probe_id if answer.is_granted else None

    def _spare(
        self, route: UpstreamRoute, key: UpstreamKey, verdict: Verdict, retry_after_s: float | None
    ) -> None:
        if verdict.blame is Blame.KEY_BUSY:
            wanted = DEFAULT_COOLING_S if retry_after_s is None else retry_after_s
            seconds = min(max(wanted, LEAST_COOLING_S), MOST_COOLING_S)
            self._spare_for(busy_mark(key, route), seconds, verdict.summary)
            return
        is_revoked = verdict.blame is Blame.KEY_REVOKED
        if self._is_last(key, route):
            mark, seconds = busy_mark(key, route), LAST_KEY_COOLING_S
        else:
            mark, seconds = key.mark, EJECTION_MARK_S if is_revoked else QUOTA_COOLING_S
        if not self._spare_for(mark, seconds, verdict.summary):
            return
        if is_revoked:
            named = {"sealed": key.sealed, "reason": verdict.summary}
            self.spawn(self._in_books(eject_key, key.id, **named))
        else:
            self.spawn(self._in_books(alarm_quota, key.id, reason=verdict.summary))

    def _is_last(self, key: UpstreamKey, route: UpstreamRoute) -> bool:
        """Tell whether the provider has no other key that may be used."""
        now = time.monotonic()
        others = (other.mark for other in route.upstream.keys if other.id != key.id)
        return all(self._marks.get(mark, 0.0) > now for mark in others)

    def _spare_for(self, mark: str, seconds: float, reason: str) -> bool:
        """Spare a key, in this process at once. False if it is spared already."""
        now = time.monotonic()
        if self._marks.get(mark, 0.0) > now:
            return False
        self._marks[mark] = now + seconds
        self.spawn(self._ask_quietly("spare", mark, int(seconds * 1_000), reason))
        return True

    async def _in_books(self, deed: Any, *arguments: Any, **named: Any) -> None:
        try:
            await in_database(deed, *arguments, **named)
        except Exception:
            # The mark in Redis spares the key for now; a refusal after that writes again.
            log.exception("key_trouble_not_written", key_id=arguments[0])

    async def _ask_quietly(self, what: str, *arguments: Any) -> None:
        try:
            await self._ask(what, *arguments)
        except REDIS_AWAY:
            self._forget_circuits()
            log.warning("upstream_health_not_shared", what=what)

    async def _ask(self, what: str, *arguments: Any) -> Shared:
        reply = await self._redis.command(*shared.parts(self.limits, what, *arguments))
        answer = shared.parse(reply)
        self._learn(answer)
        return answer

    def _learn(self, answer: Shared) -> None:
        now = time.monotonic()
        self._open = {
            name: (now + open_ms / 1_000, now + probed_ms / 1_000)
            for name, (open_ms, probed_ms) in answer.circuits.items()
        }
        self._marks = {name: now + left / 1_000 for name, left in answer.marks.items()}

    def _forget_circuits(self) -> None:
        self._open = {}


def busy_mark(key: UpstreamKey, route: UpstreamRoute) -> str:
    """Name a key's use for one model: a rate limit there says nothing of other models."""
    return f"{key.mark}@{route.upstream_model}"
