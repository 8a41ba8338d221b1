"""Ask models that no customer asks for a few tokens, so that their status is known all the same.

A provider has probes only where staff chose how many an hour: they cost us money. What they tell
goes where outcomes of requests go, for circuits and the status page; what they cost is in `Probe`
and in no customer's books. No figure of customers' latency has them in it.

All routes of a model that are due are asked at once. A model is told as failing only if each route
that could have served a customer was asked and failed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import redis
import structlog
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from billing.catalogue.costs import cost_nanos
from billing.models import PublicModel, SiteRollUp
from proxy.errors import MalformedAnswer, UpstreamNotReached, UpstreamRefused
from proxy.models import Probe, Provider, Route
from proxy.upstreams import shared
from proxy.upstreams.attempts import in_order
from proxy.upstreams.circuits import GUARD_RATE, GUARD_ROW, Tally
from proxy.upstreams.client import UpstreamClient
from proxy.upstreams.loading import load_routes
from proxy.upstreams.providers.tiny import Tiny, ask_tiny
from proxy.upstreams.routes import UpstreamRoute
from proxy.upstreams.shared import CircuitLimits
from proxy.upstreams.verdicts import Blame, judge

HOUR = timedelta(hours=1)
# Requests are rolled up by the quarter that they ended in.
QUARTER = timedelta(minutes=15)
KEPT = timedelta(days=90)
# Of one sweep, which so takes a minute at most.
MOST_ROUTES = 24
AT_ONCE = 8
PATIENCE_S = 20.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A probe that is under way."""

    probe: Probe
    route: UpstreamRoute


def probe_idle_models() -> int:
    """Ask the routes that are due, and return how many. Safe to repeat, and to run at once."""
    Probe.objects.filter(began_at__lt=timezone.now() - KEPT).delete()
    per_hour = dict(
        Provider.objects.filter(probes_per_hour__gt=0, paused_at=None).values_list(
            "pk", "probes_per_hour"
        )
    )
    if not per_hour:
        return 0
    groups = _claim_due(per_hour)
    every = [asked for group in groups for asked in group.asked]
    answers = dict(zip(every, asyncio.run(_ask_all(every)), strict=True)) if every else {}
    for asked, tiny in answers.items():
        _write(asked, tiny)
    for group in groups:
        _tell({asked: answers[asked] for asked in group.asked}, is_whole=group.is_whole)
    return len(every)


@dataclass(frozen=True, slots=True)
class Group:
    """What is asked of one model. It `is_whole` if that is every route that serves it."""

    asked: list[Asked]
    is_whole: bool


def _claim_due(per_hour: Mapping[int, int]) -> list[Group]:
    """Claim the due routes of idle models, by model, those of the first models only."""
    names = dict(PublicModel.objects.filter(is_active=True).values_list("pk", "name"))
    used_at = _read_last_use()
    groups: list[Group] = []
    for model_id, found in load_routes().items():
        routes = [route for route in found if not route.upstream.is_paused]
        name = names.get(model_id)
        if name is None or sum(len(group.asked) for group in groups) >= MOST_ROUTES:
            continue
        claimed = [
            Asked(probe, route)
            for route in routes
            if (period := _period(route, per_hour))
            and _is_idle(used_at.get(name), period)
            and (probe := _claim(route, name, period))
        ]
        if claimed:
            groups.append(Group(claimed, is_whole=len(claimed) == len(routes)))
    return groups


def _period(route: UpstreamRoute, per_hour: Mapping[int, int]) -> timedelta | None:
    """Return how long a route rests between two probes; None if it has none."""
    count = per_hour.get(route.upstream.id)
    return HOUR / count if count else None


def _read_last_use() -> dict[str, datetime]:
    """Return the last quarter of an hour in which customers asked for each model, if lately."""
    since = timezone.now() - HOUR - 2 * QUARTER
    rows = SiteRollUp.objects.filter(starts_at__gte=since).values("model_name")
    return {
        row["model_name"]: row["last"] for row in rows.annotate(last=Max("starts_at")).order_by()
    }


def _is_idle(used_at: datetime | None, period: timedelta) -> bool:
    return used_at is None or used_at + QUARTER <= timezone.now() - period


@transaction.atomic
def _claim(route: UpstreamRoute, model_name: str, period: timedelta) -> Probe | None:
    """Begin a probe, unless one began within its period. So an hour never has more than it may."""
    if not Route.objects.select_for_update(skip_locked=True).filter(pk=route.id).exists():
        return None
    if Probe.objects.filter(route=route.id, began_at__gt=timezone.now() - period).exists():
        return None
    return Probe.objects.create(
        route_id=route.id, provider_name=route.upstream.name, model_name=model_name
    )


async def _ask_all(every: Sequence[Asked]) -> list[Tiny]:
    client = await UpstreamClient.connect(max_connections=AT_ONCE)
    slots = asyncio.Semaphore(AT_ONCE)

    async def ask(asked: Asked) -> Tiny:
        key = in_order(asked.route.upstream.keys)[0]
        async with slots:
            tiny = await ask_tiny(client, asked.route, key, patience_s=PATIENCE_S, what_for="probe")
        if tiny.error is None and not tiny.is_json:
            return replace(tiny, error=MalformedAnswer("The answer is not JSON."))
        return tiny

    try:
        return await asyncio.gather(*map(ask, every))
    finally:
        await client.close()


def _write(asked: Asked, tiny: Tiny) -> None:
    """Note how a probe went, and what it cost. What failed without an answer may cost something."""
    probe, error = asked.probe, tiny.error
    probe.outcome = _outcome(tiny)
    probe.problem = judge(error).summary if error else ""
    probe.latency_ms = tiny.latency_ms
    if tiny.usage:
        probe.prompt_tokens = tiny.usage.prompt_tokens
        probe.completion_tokens = tiny.usage.completion_tokens
        probe.cost_nanos = cost_nanos(asked.route.costs, tiny.usage)
    elif isinstance(error, UpstreamNotReached | UpstreamRefused):
        probe.cost_nanos = 0
    probe.save()


def _outcome(tiny: Tiny) -> Probe.Outcome:
    if tiny.error is None:
        return Probe.Outcome.SERVED
    fails = judge(tiny.error).blame in {Blame.PROVIDER, Blame.ROUTE}
    return Probe.Outcome.FAILED if fails else Probe.Outcome.REFUSED


def _tell(answers: Mapping[Asked, Tiny], *, is_whole: bool) -> None:
    """Count outcomes where those of requests are counted, and close circuits that work again."""
    served = [asked for asked, tiny in answers.items() if tiny.error is None]
    tally = Tally()
    for asked in served:
        tally.note_ok(asked.route.upstream.circuit, GUARD_ROW)
        tally.note_ok(asked.route.circuit, GUARD_RATE, latency_ms=answers[asked].latency_ms)
    if served or is_whole:
        for asked, tiny in answers.items():
            _note_failure(tally, asked, tiny)
    seen = tally.take()
    commands = [shared.parts(CircuitLimits(), "report", *seen)] if seen else []
    for asked in served:
        for circuit in (asked.route.upstream.circuit, asked.route.circuit):
            token = f"probe-{asked.probe.pk}"
            commands.append(shared.parts(CircuitLimits(), "ended", circuit, token, "ok", ""))
    try:
        with shared.open_shared() as client:
            for command in commands:
                client.execute_command(*command)
    except redis.RedisError:
        # It is in the table all the same.
        log.warning("probes_not_shared", exc_info=True)


def _note_failure(tally: Tally, asked: Asked, tiny: Tiny) -> None:
    if tiny.error is None:
        return
    verdict = judge(tiny.error)
    if verdict.blame is Blame.PROVIDER:
        tally.note_failed(asked.route.upstream.circuit, GUARD_ROW, verdict.summary)
    elif verdict.blame is Blame.ROUTE:
        tally.note_failed(asked.route.circuit, GUARD_RATE, verdict.summary)
