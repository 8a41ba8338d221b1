"""Findings about margins, for the inbox: below zero, falling, and costs that nobody knows.

Of each model at each provider, by whole days. A finding is filed once for a day, and not again
while an earlier one about the same is open.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.utils import timezone

from billing.ledger.inbox import file_item
from billing.margin.rates import COST_CURRENCY
from billing.margin.reads import Margin, read_margins
from billing.models import InboxItem

NEGATIVE, FALLING, UNKNOWN = "margin_negative", "margin_falling", "margin_unknown_cost"
# Fewer requests of a day tell nothing.
LEAST_REQUESTS = 20
# After more days without a worker, findings of the first tell nothing new.
MOST_DAYS = 7
# A margin falls if it is so many points below that of the week before.
FALL_PERCENT = Decimal(10)


@dataclass(frozen=True, slots=True)
class Alarm:
    """What is wrong with the margin of a model on a day."""

    kind: str
    model: str
    day: date
    summary: str
    detail: dict[str, object]


def raise_alarms(first: date | None = None) -> int:
    """File what is wrong with margins of the whole days since `first`, at most those of a week.

    Of yesterday, without one. Safe to repeat. Returns how many are new.
    """
    yesterday = timezone.now().date() - timedelta(days=1)
    count = (yesterday - (first or yesterday)).days + 1
    days = [yesterday - timedelta(days=back) for back in range(min(count, MOST_DAYS))]
    return sum(_file(alarm) for day in reversed(days) for alarm in find_alarms(day))


def find_alarms(day: date) -> Iterator[Alarm]:
    """Find the models whose margin of a day is wrong."""
    week = read_margins("model", since=day - timedelta(days=7), until=day - timedelta(days=1))
    before = {margin.group: margin for margin in week}
    for margin in read_margins("model", since=day, until=day):
        if margin.requests >= LEAST_REQUESTS:
            yield from _alarms_of(margin, before.get(margin.group), day)


def _alarms_of(margin: Margin, before: Margin | None, day: date) -> Iterator[Alarm]:
    model = str(margin.group)
    detail: dict[str, object] = {
        "model": model,
        "day": day.isoformat(),
        "income": f"{margin.income:f}",
        "cost": f"{margin.cost:f}",
        "requests": margin.requests,
    }
    unit = COST_CURRENCY.upper()
    if margin.unpriced_requests:
        count = f"{margin.unpriced_requests:,} of {margin.requests:,}"
        text = f"What {count} requests of {model} cost us is not known: a route lacks a price."
        yield Alarm(UNKNOWN, model, day, text, detail)
    # What gifts use is a cost without an income, and meant to be.
    if margin.is_whole and margin.income and margin.margin < 0:
        text = f"{model} brought in {margin.income:.2f} {unit} on {day} and cost {margin.cost:.2f}."
        yield Alarm(NEGATIVE, model, day, text, detail)
        return
    share, share_before = margin.share_percent, before.share_percent if before else None
    if share is not None and share_before is not None and share < share_before - FALL_PERCENT:
        text = (
            f"The margin of {model} fell to {share:.1f} % on {day}, from {share_before:.1f} % in"
            " the week before."
        )
        yield Alarm(FALLING, model, day, text, detail)


def _file(alarm: Alarm) -> bool:
    mine = InboxItem.objects.filter(kind=alarm.kind, reference__startswith=f"{alarm.model[:100]}@")
    if mine.filter(resolved_at=None).exists():
        return False
    _, is_new = file_item(
        kind=alarm.kind,
        reference=f"{alarm.model[:100]}@{alarm.day}",
        summary=alarm.summary,
        detail=alarm.detail,
    )
    return is_new
