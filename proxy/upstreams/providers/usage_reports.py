"""A provider's own report of what we used, beside our receipts: by day and model.

It is fetched from OpenAI (`openai_usage.py`), or CSV with the header
`day,model,prompt_tokens,completion_tokens,cost`: days in UTC, the provider's names of models,
dollars; a cost may be left empty. Ours are the roll-ups, and our probes. Where names are not one to
one, since two models of ours are one of theirs or the other way around, they are compared together.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncDate

from billing.ledger.inbox import file_item
from billing.margin.reads import NANOS
from billing.models import SiteRollUp
from billing.rollups.periods import midnight
from proxy.errors import BadUsageReport
from proxy.models import Probe, Provider

COLUMNS = ("day", "model", "prompt_tokens", "completion_tokens", "cost")
MOST_DAYS = 100
MOST_TOKENS = 10**15
MOST_DOLLARS = Decimal(10**9)


@dataclass(slots=True)
class Used:
    """What was used. `cost` is in dollars, None if it is not known of all of it."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = Decimal(0)

    def add(self, other: "Used") -> None:
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        is_unknown = self.cost is None or other.cost is None
        self.cost = None if is_unknown else (self.cost or Decimal(0)) + (other.cost or Decimal(0))


# What a report says of a day and one of the provider's models.
Reported = tuple[date, str, Used]


@dataclass(frozen=True, slots=True)
class Line:
    """One day of one model, or of models that can't be told apart."""

    day: date
    model: str
    theirs: Used = field(default_factory=Used)
    ours: Used = field(default_factory=Used)

    @property
    def difference_percent(self) -> Decimal:
        """Return the greatest difference of all figures that both know, in percent of theirs."""
        pairs: list[tuple[Any, Any]] = [
            (self.theirs.prompt_tokens, self.ours.prompt_tokens),
            (self.theirs.completion_tokens, self.ours.completion_tokens),
        ]
        if self.theirs.cost is not None and self.ours.cost is not None:
            pairs.append((self.theirs.cost, self.ours.cost))
        return max(_percent(theirs, ours) for theirs, ours in pairs)

    @property
    def is_beyond(self) -> bool:
        """Tell whether they differ by more than the setting tolerates."""
        return self.difference_percent > settings.USAGE_TOLERANCE_PERCENT


def compare(provider: Provider, text: str) -> list[Line]:
    """Return the days of a report beside ours, the greatest difference first.

    Raises BadUsageReport.
    """
    report = list(read_report(text))
    if not report:
        raise BadUsageReport("The report has no line.")
    days = {day for day, _, _ in report}
    if (max(days) - min(days)).days >= MOST_DAYS:
        raise BadUsageReport(f"The report has more than {MOST_DAYS} days.")
    return compare_days(provider, report, days)


def compare_days(provider: Provider, report: Iterable[Reported], days: set[date]) -> list[Line]:
    """Return what a report says of these days beside ours, the greatest difference first."""
    names = _joined_names(provider)
    lines: dict[tuple[date, str], Line] = {}
    for day, model, used in report:
        label = names.get(f"theirs {model}", model)
        lines.setdefault((day, label), Line(day, label)).theirs.add(used)
    for day, model, used in chain(_read_ours(provider, days), _read_probes(provider, days)):
        label = names.get(f"ours {model}", model)
        lines.setdefault((day, label), Line(day, label)).ours.add(used)
    return sorted(lines.values(), key=lambda line: (-line.difference_percent, line.day, line.model))


def file_differences(provider: Provider, lines: Iterable[Line]) -> int:
    """File the lines of a comparison that differ beyond the tolerance, and return how many are."""
    beyond = [line for line in lines if line.is_beyond]
    for line in beyond:
        file_item(
            kind="usage_differs",
            reference=f"{provider.name[:30]}@{line.day}:{line.model[:70]}",
            summary=f"{provider} reports {line.difference_percent:.1f} % other usage of"
            f" {line.model} on {line.day} than our receipts.",
            detail={
                "provider": provider.name,
                "model": line.model,
                "day": line.day.isoformat(),
                **{f"their_{name}": str(getattr(line.theirs, name)) for name in COLUMNS[2:]},
                **{f"our_{name}": str(getattr(line.ours, name)) for name in COLUMNS[2:]},
            },
        )
    return len(beyond)


def read_report(text: str) -> Iterator[Reported]:
    """Yield the rows of a report. Raises BadUsageReport."""
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise BadUsageReport(f"The first line must be {','.join(COLUMNS)}.")
        for row in rows:
            if None in row or None in row.values():
                raise BadUsageReport(f"Line {rows.line_num} has not {len(COLUMNS)} fields.")
            try:
                yield date.fromisoformat(row["day"]), row["model"], _read_used(row)
            except (ValueError, InvalidOperation) as error:
                raise BadUsageReport(f"Line {rows.line_num} can't be read: {error}") from error
    except csv.Error as error:
        raise BadUsageReport(f"It is no CSV: {error}") from error


def _read_used(row: dict[str, str]) -> Used:
    prompt, completion = int(row["prompt_tokens"]), int(row["completion_tokens"])
    cost = Decimal(row["cost"]) if row["cost"] else None
    if not all(0 <= count <= MOST_TOKENS for count in (prompt, completion)):
        raise ValueError("a number of tokens is impossible")
    if cost is not None and not 0 <= cost <= MOST_DOLLARS:
        raise ValueError("a cost is impossible")
    return Used(prompt, completion, cost)


def _read_ours(provider: Provider, days: set[date]) -> Iterator[Reported]:
    rows: Iterable[Any] = (
        SiteRollUp.objects.filter(
            provider_name=provider.name,
            starts_at__gte=midnight(min(days)),
            starts_at__lt=midnight(max(days) + timedelta(1)),
        )
        .annotate(day=TruncDate("starts_at", tzinfo=UTC))
        .values("day", "model_name")
        .annotate(
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
            cost=Sum("cost_nanos"),
            unpriced=Sum("unpriced_requests"),
        )
        .order_by()
    )
    for row in rows:
        # Of a day that the report leaves out it says nothing.
        if row["day"] in days:
            cost = None if row["unpriced"] else row["cost"] / NANOS
            yield row["day"], row["model_name"], Used(row["prompt"], row["completion"], cost)


def _read_probes(provider: Provider, days: set[date]) -> Iterator[Reported]:
    """Yield what we asked ourselves, which the provider counts like any request."""
    rows: Iterable[Any] = (
        Probe.objects.filter(
            provider_name=provider.name,
            began_at__gte=midnight(min(days)),
            began_at__lt=midnight(max(days) + timedelta(1)),
        )
        .annotate(day=TruncDate("began_at", tzinfo=UTC))
        .values("day", "model_name")
        .annotate(
            prompt=Sum("prompt_tokens"),
            completion=Sum("completion_tokens"),
            cost=Sum("cost_nanos", default=0),
            unpriced=Count("pk", filter=Q(cost_nanos=None)),
        )
        .order_by()
    )
    for row in rows:
        if row["day"] in days:
            cost = None if row["unpriced"] else row["cost"] / NANOS
            yield row["day"], row["model_name"], Used(row["prompt"], row["completion"], cost)


def _joined_names(provider: Provider) -> dict[str, str]:
    """Return for each name of theirs, and of ours, what it is compared as."""
    groups: list[set[str]] = []
    for theirs, ours in provider.routes.values_list("upstream_model", "model__name"):
        pair = {f"theirs {theirs}", f"ours {ours}"}
        touched = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair] + [pair.union(*touched)]
    return {
        name: ", ".join(sorted(each.partition(" ")[2] for each in group if each[0] == "t"))
        for group in groups
        for name in group
    }


def _percent(theirs: int | Decimal, ours: int | Decimal) -> Decimal:
    if theirs == ours:
        return Decimal(0)
    return abs(Decimal(ours) - theirs) * 100 / theirs if theirs else Decimal(100)
