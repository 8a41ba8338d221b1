"""How long each model was served: counted from the outcomes that web processes share in Redis.

Those are outcomes of customers' requests, of the tries that open circuits let through, and of our
probes of models that nobody asks (`providers/probing.py`), in buckets of ten seconds, kept for five
minutes. A sweep adds the finished buckets to the day's row. If no sweep runs for longer, what it
missed counts as not known.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import redis
from django.db.models import F
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext, ngettext

from proxy.errors import HealthUnknown
from proxy.models import Route, ServiceDay
from proxy.upstreams import shared

BUCKET_S = shared.BUCKET_MS // 1_000
DAYS = 90

# Of a circuit: how many were served and failed, by bucket.
Outcomes = Mapping[int, tuple[int, int]]


def count_service() -> int:
    """Add what was not counted yet to each model's day. Returns how many rows changed.

    Safe to repeat and to run at once: a row takes a bucket only once. Raises HealthUnknown.
    """
    routes = list(Route.objects.filter(is_active=True).select_related("model"))
    circuits = [f"r{route.pk}" for route in routes]
    circuits += sorted({f"p{route.provider_id}" for route in routes})
    outcomes = _read(circuits)
    # The present bucket may still grow, and web processes report up to a second late.
    end = int((timezone.now().timestamp() - 2) // BUCKET_S)
    by_model: dict[str, list[Route]] = defaultdict(list)
    for route in routes:
        by_model[route.model.name].append(route)
    return sum(
        _add(name, day, buckets)
        for name, of_model in by_model.items()
        for day, buckets in _by_day(_judge(of_model, outcomes), end)
    )


def _read(circuits: list[str]) -> dict[str, Outcomes]:
    with shared.open_shared(decode_responses=True) as client:
        try:
            pipeline = client.pipeline(transaction=False)
            for circuit in circuits:
                pipeline.hgetall(shared.COUNTS + circuit)
            counts = pipeline.execute()
        except redis.RedisError as error:
            raise HealthUnknown("Redis does not answer.") from error
    return {
        circuit: {int(at): _parse(text) for at, text in found.items()}
        for circuit, found in zip(circuits, counts, strict=True)
    }


def _parse(text: str) -> tuple[int, int]:
    served, failed, _ = map(int, text.split())
    return served, failed


def _judge(routes: list[Route], outcomes: Mapping[str, Outcomes]) -> dict[int, bool]:
    """Return for each bucket whether the model was served; those without a sign are left out."""
    buckets = {at for each in outcomes.values() for at in each}
    judged = {}
    for at in buckets:
        own = [outcomes[f"r{route.pk}"].get(at, (0, 0)) for route in routes]
        providers = [outcomes[f"p{route.provider_id}"].get(at, (0, 0)) for route in routes]
        if any(served for served, _ in own):
            judged[at] = True
        elif any(failed for _, failed in own) or all(
            failed and not served for served, failed in providers
        ):
            judged[at] = False
    return judged


def _by_day(judged: Mapping[int, bool], end: int) -> Iterator[tuple[date, dict[int, bool]]]:
    days: dict[date, dict[int, bool]] = defaultdict(dict)
    for at, is_served in judged.items():
        if at < end:
            day = datetime.fromtimestamp(at * BUCKET_S, UTC).date()
            days[day][at] = is_served
    yield from days.items()


def _add(name: str, day: date, buckets: Mapping[int, bool]) -> int:
    row, _ = ServiceDay.objects.get_or_create(day=day, model_name=name)
    new = [is_served for at, is_served in buckets.items() if at > row.counted_bucket]
    if not new:
        return 0
    served, last = sum(new), max(buckets)
    # Whoever counted meanwhile has moved the mark, and this changes nothing.
    return ServiceDay.objects.filter(pk=row.pk, counted_bucket=row.counted_bucket).update(
        served_s=F("served_s") + served * BUCKET_S,
        failing_s=F("failing_s") + (len(new) - served) * BUCKET_S,
        counted_bucket=last,
    )


@dataclass(frozen=True, slots=True)
class Day:
    """One bar: a day of one model."""

    day: date
    served_s: int = 0
    failing_s: int = 0

    @property
    def uptime(self) -> float | None:
        """Percent of the time in which it was asked; None if nobody did."""
        known = self.served_s + self.failing_s
        return 100 * self.served_s / known if known else None

    @property
    def state(self) -> str:
        """How the bar looks."""
        if self.uptime is None:
            return "unknown"
        return "good" if self.uptime >= 99.5 else "some" if self.uptime >= 95 else "bad"

    @property
    def words(self) -> str:
        """What the bar says."""
        if self.uptime is None:
            return gettext("no requests")
        if not self.failing_s:
            return gettext("no trouble")
        minutes = -(-self.failing_s // 60)
        return ngettext(
            "{uptime}%, failing for {minutes} minute",
            "{uptime}%, failing for {minutes} minutes",
            minutes,
        ).format(uptime=number_format(self.uptime, 2), minutes=minutes)


@dataclass(frozen=True, slots=True)
class History:
    """The last days of one model, oldest first."""

    model_name: str
    days: list[Day]

    @property
    def uptime(self) -> float | None:
        """Percent of the time in which it was asked, over all days."""
        served = sum(day.served_s for day in self.days)
        known = served + sum(day.failing_s for day in self.days)
        return 100 * served / known if known else None


def read_histories(names: list[str]) -> list[History]:
    """Return the last 90 days of models, those without a row included."""
    today = timezone.now().astimezone(UTC).date()
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    rows = ServiceDay.objects.filter(day__gte=days[0], model_name__in=names)
    found = {(row.model_name, row.day): Day(row.day, row.served_s, row.failing_s) for row in rows}
    return [History(name, [found.get((name, day), Day(day)) for day in days]) for name in names]
