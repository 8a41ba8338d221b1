"""What a wallet used, from its roll-ups and the few receipts that are not rolled up yet.

Each read is one statement, so every booked receipt counts in exactly one of the two. Days (UTC)
are read from their own sums, a hundredth of the rows, where most of one is within one step. What
of such a day is in another step is moved there, by quarters of an hour: a day of Berlin takes an
hour or two of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import (
    Count,
    DateTimeField,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
)
from django.db.models.functions import Coalesce, TruncDay, TruncHour
from django.utils import timezone

from accounts.models import ApiKey
from billing.models import RollUpMark, RollUpRange, UsageDay, UsageRecord, UsageRollUp, Wallet
from billing.rollups.days import MIDDAY, Span, cut_steps
from billing.rollups.detail import may_be_gone
from billing.rollups.periods import Period
from billing.rollups.quarters import EPOCH

SUMS = ("charged_credits", "prompt_tokens", "completion_tokens")
ALL = Q()
NOTHING = Q(pk__in=[])
KEPT_FROM = Coalesce(Subquery(RollUpRange.objects.values("quarters_from")[:1]), Value(EPOCH))


@dataclass(slots=True)
class Used:
    """What some requests add up to."""

    requests: int = 0
    charged_credits: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0

    def add(self, requests: int, charged: int, prompt: int, completion: int) -> None:
        self.requests += requests
        self.charged_credits += charged
        self.prompt_tokens += prompt
        self.completion_tokens += completion

    def __neg__(self) -> "Used":
        return Used(
            -self.requests, -self.charged_credits, -self.prompt_tokens, -self.completion_tokens
        )

    def merge(self, other: "Used") -> None:
        self.add(
            other.requests, other.charged_credits, other.prompt_tokens, other.completion_tokens
        )


# By what a chart tells requests apart, each with its column.
GROUPS = {
    "model": "model_name",
    "key": "api_key_id",
    "member": "api_key__created_by_id",
    "outcome": "outcome",
}


class WidthBucket(Func):
    """How many of the sorted instants in the array an instant has reached."""

    function = "width_bucket"
    template = "%(function)s(%(expressions)s::timestamptz[])"
    output_field = IntegerField()


def sum_by_step(
    wallet: Wallet, period: Period, *, by: str = "", where: Q = ALL
) -> dict[tuple[Any, ...], Used]:
    """Return what was used in each step of a period that has requests, by the step's number from 1
    and, with `by`, a group of GROUPS; of the requests alone that `where` chooses.

    Where quarters of an hour are gone, of days (UTC).
    """
    starts = Value(list(period.starts), ArrayField(DateTimeField()))
    keys = ("step", "home", GROUPS[by]) if by else ("step", "home")
    cut = cut_steps(period)

    def put(rows: QuerySet[Any], at: Any, *, home: Any = None) -> QuerySet[Any]:
        """Put rows into the step of an instant; they are of the day that counts in `home`."""
        step = WidthBucket(at, starts)
        of_day = step if home is None else WidthBucket(home, starts)
        placed: QuerySet[Any] = rows.annotate(step=step, home=of_day)
        return placed

    quarters = UsageRollUp.objects.filter(where, wallet=wallet)
    days = UsageDay.objects.filter(where, wallet=wallet)
    middle = _middle(F("starts_at"))
    rolled_up = [put(days.filter(starts_at__in=cut.days), middle)]
    if may_be_gone(period.starts_at):
        quarters = quarters.filter(starts_at__gte=KEPT_FROM)
        divided = days.filter(_is_old(period)).exclude(starts_at__in=cut.days)
        rolled_up.append(put(divided, middle))
    moved = quarters.filter(_is_in_any(cut.moved))
    rolled_up += [
        put(moved, F("starts_at"), home=_middle(TruncDay("starts_at", tzinfo=UTC))),
        put(quarters.filter(_is_in_any(cut.rest)), F("starts_at")),
    ]
    fresh = put(_fresh(wallet, where), F("ended_at"))
    is_in = _is_in("ended_at", period.starts_at, period.ends_at)
    return _move(_add_up(keys, rolled_up, fresh, is_in))


def _move(found: dict[tuple[Any, ...], Used]) -> dict[tuple[Any, ...], Used]:
    """Take from each day's step what is in another step."""
    placed: dict[tuple[Any, ...], Used] = {}
    for (step, home, *group), used in found.items():
        placed.setdefault((step, *group), Used()).merge(used)
        if step != home:
            placed.setdefault((home, *group), Used()).merge(-used)
    return {key: used for key, used in placed.items() if used.requests}


def _middle(day: Any) -> ExpressionWrapper[Any]:
    return ExpressionWrapper(day + MIDDAY, DateTimeField())


def sum_by_model(wallet: Wallet, *, days: int) -> dict[tuple[int, str], Used]:
    """Return what was used in the last days, by API key and model."""
    since = timezone.now() - timedelta(days=days)
    return _add_up(
        ("api_key_id", "model_name"),
        [_rolled_up(wallet, ALL, since, None)],
        _fresh(wallet, ALL),
        _is_in("ended_at", since, None),
    )


def charged_by_key(since: datetime, *, least: int) -> dict[int, int]:
    """Return what each key was charged since then, of those that were charged so much at least.

    Of what is rolled up, which lacks a few seconds.
    """
    sums = (
        UsageRollUp.objects.filter(starts_at__gte=since)
        .values_list("api_key_id")
        .annotate(charged=Sum("charged_credits"))
    )
    return dict(sums.filter(charged__gte=least))


def busiest_hour(key: ApiKey, since: datetime, until: datetime) -> int:
    """Return the most that a key was charged in one hour (UTC) of a time; 0 if it was not used."""
    hours = (
        UsageRollUp.objects.filter(
            wallet__team=key.team_id, api_key=key, starts_at__gte=since, starts_at__lt=until
        )
        .values_list(TruncHour("starts_at"))
        .annotate(charged=Sum("charged_credits"))
    )
    return max((charged for _, charged in hours), default=0)


def _rolled_up(
    wallet: Wallet, where: Q, since: datetime, until: datetime | None
) -> QuerySet[UsageRollUp]:
    return UsageRollUp.objects.filter(where, _is_in("starts_at", since, until), wallet=wallet)


def _is_old(period: Period) -> Q:
    """Return the condition of the days of a period of which no quarters are kept."""
    within = _is_in("starts_at", period.starts_at - MIDDAY, period.ends_at - MIDDAY)
    return within & Q(starts_at__lt=KEPT_FROM)


def _is_in_any(spans: Iterable[Span]) -> Q:
    return reduce(or_, (_is_in("starts_at", since, until) for since, until in spans), NOTHING)


def _fresh(wallet: Wallet, where: Q) -> QuerySet[UsageRecord]:
    mark = RollUpMark.objects.filter(wallet=wallet).values("record_id")
    # No condition on the time: it would lead PostgreSQL to an index that finds far more than the
    # few.
    is_new = Q(wallet=wallet, pk__gt=Coalesce(Subquery(mark), 0))
    return UsageRecord.objects.filter(where, is_new).order_by()


def _is_in(column: str, since: datetime, until: datetime | None) -> Q:
    bounds = Q(**{f"{column}__gte": since})
    return bounds & Q(**{f"{column}__lt": until}) if until else bounds


def _add_up(
    keys: tuple[str, ...], rolled_up: Sequence[QuerySet[Any]], fresh: QuerySet[Any], is_in: Q
) -> dict[tuple[Any, ...], Used]:
    summed = [
        each.values_list(*keys).annotate(
            count=Sum("requests"), **{f"{name}_sum": Sum(name) for name in SUMS}
        )
        for each in rolled_up
    ]
    # First, because a part that can have no rows is left out.
    added = fresh.values_list(*keys).annotate(
        count=Count("pk", filter=is_in),
        **{f"{name}_sum": Sum(name, filter=is_in, default=0) for name in SUMS},
    )
    rows = added.union(*summed, all=True)
    found: dict[tuple[Any, ...], Used] = {}
    for row in rows.iterator():
        found.setdefault(row[: len(keys)], Used()).add(*row[len(keys) :])
    return {key: used for key, used in found.items() if used.requests}
