"""How the sweeps run: counted by every worker, written to the cache every few seconds.

A worker has no page of its own to be scraped, and may be one of several. So each adds what it
counted to counters in the cache, and any web process shows them. That beat lives is seen by the
sweeps that it asks for: none of them succeeds when nobody asks.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import redis
import structlog
from celery.signals import task_postrun, task_prerun, worker_shutting_down
from django.conf import settings
from django.core.cache import cache
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

log = structlog.get_logger(__name__)

WRITE_EVERY_S = 5.0
AUDIT = "billing.audit_money"
# Whole numbers in the cache: what each is called there and in the metrics, and its unit there.
COUNTERS = {
    "runs": ("runs", 1, "Runs that ended well."),
    "failures": ("failures", 1, "Runs that an error ended."),
    "items": ("items", 1, "What the runs did: events booked, holds reaped, mails sent …"),
    "milliseconds": ("seconds", 1_000, "How long the runs took in all."),
}
# Of the last run that ended well; the last of these is set only by a run that found nothing.
ENDED_AT, RESULT, NOTHING_AT = "ended_at", "result", "nothing_at"


class SweepTally:
    """What this worker has counted and not yet written. Its threads share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._began: dict[str, float] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._state: dict[str, float] = {}
        self._write_at = 0.0

    def began(self, task_id: str) -> None:
        """Note that a run begins."""
        with self._lock:
            self._began[task_id] = time.monotonic()

    def ended(self, task_id: str, sweep: str, result: int | None, *, has_failed: bool) -> None:
        """Note how a run ended. One without a result left its work to the next."""
        with self._lock:
            now = time.monotonic()
            took_s = now - self._began.pop(task_id, now)
            self._counts[sweep, "milliseconds"] += round(took_s * 1_000)
            if has_failed:
                self._counts[sweep, "failures"] += 1
            elif result is not None:
                self._note_result(sweep, result)
            if now < self._write_at:
                return
            self._write_at = now + WRITE_EVERY_S
        self.write()

    def _note_result(self, sweep: str, result: int) -> None:
        self._counts[sweep, "runs"] += 1
        self._counts[sweep, "items"] += result
        self._state |= {name_of(sweep, ENDED_AT): time.time(), name_of(sweep, RESULT): result}
        if not result:
            self._state[name_of(sweep, NOTHING_AT)] = time.time()

    def write(self) -> None:
        """Add to the counters in the cache. Without the cache, the next write does it."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
            state, self._state = self._state, {}
        try:
            cache.set_many(state, timeout=None)
            while counts:
                (sweep, what), count = counts.popitem()
                try:
                    add(name_of(sweep, what), count)
                except redis.RedisError:
                    counts[sweep, what] = count
                    raise
        except redis.RedisError as error:
            log.warning("sweeps_not_counted", error=str(error))
            with self._lock:
                self._counts += counts
                self._state = state | self._state


def name_of(sweep: str, what: str) -> str:
    return f"figures:{sweep}:{what}"


def add(name: str, count: int) -> None:
    """Add to a counter in the cache. Raises redis.RedisError."""
    cache.add(name, 0, timeout=None)
    cache.incr(name, count)


TALLY = SweepTally()


@task_prerun.connect
def _note_begin(task_id: str, **_: Any) -> None:
    TALLY.began(task_id)


@task_postrun.connect
def _note_end(task_id: str, task: Any, retval: Any, state: str, **_: Any) -> None:
    has_failed = state != "SUCCESS"
    TALLY.ended(task_id, task.name, None if has_failed else retval, has_failed=has_failed)


@worker_shutting_down.connect
def _write_last(**_: Any) -> None:
    TALLY.write()


def names_of_sweeps() -> set[str]:
    """Return the sweeps that workers run by their own clocks, and those that beat asks for."""
    by_message = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    return by_message.union(*settings.CLOCK_SWEEPS.values())


class SweepFigures(Collector):
    """The sweeps of all workers, as the cache has them."""

    def collect(self) -> Iterator[Metric]:
        """Read the cache once. Without it there are no figures."""
        sweeps = sorted(names_of_sweeps())
        whats = (*COUNTERS, ENDED_AT, RESULT, NOTHING_AT)
        try:
            found = cache.get_many([name_of(sweep, what) for sweep in sweeps for what in whats])
        except redis.RedisError:
            return
        for what, (name, unit, words) in COUNTERS.items():
            counter = CounterMetricFamily(f"tokenproxy_sweep_{name}", words, labels=["sweep"])
            for sweep in sweeps:
                counter.add_metric([sweep], found.get(name_of(sweep, what), 0) / unit)
            yield counter
        ended = GaugeMetricFamily(
            "tokenproxy_sweep_last_success_timestamp_seconds",
            "When a run last ended well.",
            labels=["sweep"],
        )
        for sweep in sweeps:
            ended.add_metric([sweep], found.get(name_of(sweep, ENDED_AT), 0))
        yield ended
        yield from _read_audit(found)


def _read_audit(found: dict[str, float]) -> Iterator[Metric]:
    """Tell of the last audit, and of the last that found nothing; nothing before the first."""
    for what, name, words in (
        (RESULT, "findings", "What the last audit found to be wrong."),
        (NOTHING_AT, "last_clean_timestamp_seconds", "When an audit last found nothing."),
    ):
        if (value := found.get(name_of(AUDIT, what))) is not None:
            yield GaugeMetricFamily(f"tokenproxy_audit_{name}", words, value)
