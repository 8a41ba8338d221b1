"""What probes tell beside outcomes: their cost to us, and how fast a model answers that rests."""

from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import Decimal
from typing import Any

from django.core.cache import cache
from django.db.models import Aggregate, Count, F, FloatField, Q, Sum
from django.db.models.functions import TruncDate
from django.utils import timezone

from billing.catalogue.costs import Costs, cost_nanos
from billing.catalogue.pricing import Usage
from billing.margin.reads import NANOS, Margin
from billing.rollups.periods import midnight
from proxy.models import Probe, Provider
from proxy.upstreams.providers.tiny import MOST_COMPLETION_TOKENS, MOST_PROMPT_TOKENS

COST_DAYS = 30
# As many days as those of which customers' latency is told.
LATENCY_DAYS = 7
# Seconds for which all pages show the same.
KEPT_S = 60
_KEY = "published-probes"


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that probes of a provider cost a day, and of how many routes that is not known."""

    cost: Decimal
    unknown_routes: int


def read_bound(provider: Provider) -> Bound:
    """Return the most that a day's probes cost with the present routes and prices."""
    nanos = unknown = 0
    for route in provider.routes.filter(is_active=True):
        costs = Costs(
            prompt_micros=route.prompt_cost_micros,
            completion_micros=route.completion_cost_micros,
        )
        most = MOST_COMPLETION_TOKENS + route.reasoning_beyond_maximum
        cost = cost_nanos(costs, Usage(MOST_PROMPT_TOKENS, most))
        nanos += (cost or 0) * 24 * provider.probes_per_hour
        unknown += cost is None
    return Bound(nanos / NANOS, unknown)


def read_margins_of_probes(by: str, since: date, until: date) -> list[Margin]:
    """Return what the probes of some days (UTC) cost, by day, model or provider."""
    column = {"day": "day", "model": "model_name", "provider": "provider_name"}[by]
    within = Q(began_at__gte=midnight(since), began_at__lt=midnight(until + timedelta(1)))
    rows: Any = (
        Probe.objects.filter(within)
        .annotate(day=TruncDate("began_at", tzinfo=UTC))
        .values(group=F(column))
        .annotate(
            count=Count("pk"),
            nanos=Sum("cost_nanos", default=0),
            unpriced=Count("pk", filter=Q(cost_nanos=None)),
        )
        .order_by()
    )
    return [
        Margin(
            row["group"],
            requests=row["count"],
            cost_nanos=row["nanos"],
            unpriced_requests=row["unpriced"],
        )
        for row in rows
    ]


def read_spent(provider: Provider) -> dict[str, Any]:
    """Return how many probes the last days had, how many failed or have no cost, and the cost."""
    probes = Probe.objects.filter(
        provider_name=provider.name, began_at__gte=timezone.now() - timedelta(days=COST_DAYS)
    )
    sums = probes.aggregate(
        count=Count("pk"),
        failed=Count("pk", filter=Q(outcome=Probe.Outcome.FAILED)),
        unpriced=Count("pk", filter=Q(cost_nanos=None)),
        nanos=Sum("cost_nanos", default=0),
    )
    return {**sums, "cost": sums["nanos"] / NANOS}


class Median(Aggregate):
    """PostgreSQL's median."""

    function = "PERCENTILE_CONT"
    template = "%(function)s(0.5) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


def read_probe_latencies() -> dict[str, int]:
    """Return the median latency of each model's probes, in ms, at most a minute old."""
    found: dict[str, int] | None = cache.get(_KEY)
    if found is None:
        since = timezone.now() - timedelta(days=LATENCY_DAYS)
        served = Probe.objects.filter(began_at__gte=since, outcome=Probe.Outcome.SERVED)
        rows: Any = served.values("model_name").annotate(median=Median("latency_ms")).order_by()
        found = {row["model_name"]: round(row["median"]) for row in rows}
        cache.set(_KEY, found, KEPT_S)
    return found
