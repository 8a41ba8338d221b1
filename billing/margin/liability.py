"""What customers have not spent yet, and what was paid for it: now, and when a day began.

What was unspent at an instant is what is unspent now, without what was added since and with what
was taken since: by requests, rolled up or not yet, and by entries of another kind.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Any

from django.db.models import BigIntegerField, DecimalField, F, Func, Q, QuerySet, Sum
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, TruncDate

from billing.margin.reads import Margin
from billing.models import LedgerEntry, Lot, RollUpDue, UsageRecord
from billing.rollups.periods import midnight

WHOLE = DecimalField(max_digits=40, decimal_places=0)


@dataclass(slots=True)
class Unspent:
    """What is left of lots that were paid in one currency; without one, of gifts."""

    currency: str
    credits: int
    # What was paid for it, in millionths; and credits of which that is not known.
    micros: int
    unknown_credits: int


@dataclass(slots=True)
class Liability:
    """All credits that are unspent, and what was paid for them, in millionths by currency."""

    credits: int = 0
    micros: dict[str, int] = field(default_factory=dict)

    def add(self, credits: int, micros: Mapping[str, int], *, times: int = 1) -> None:
        """Add credits and money, or take them away with `times=-1`."""
        self.credits += times * credits
        for currency, amount in micros.items():
            self.micros[currency] = self.micros.get(currency, 0) + times * amount


def read_unspent() -> list[Unspent]:
    """Add up the lots that have something left: credits, and what was paid for them."""
    used = Cast(F("granted_credits") - F("remaining_credits"), WHOLE)
    paid, granted = Cast("paid_micros", WHOLE), Cast("granted_credits", WHOLE)
    # Rounded as for requests: what they took and what is left add up to what was paid.
    taken = Func(paid * used, granted, function="div", output_field=WHOLE)
    rows = (
        Lot.objects.filter(remaining_credits__gt=0)
        .order_by("currency")
        .values("currency")
        .annotate(
            credits=Sum("remaining_credits"),
            micros=Sum(paid - taken),
            unknown=Sum("remaining_credits", filter=Q(paid_micros=None), default=0),
        )
    )
    return [
        Unspent(row["currency"], row["credits"], int(row["micros"] or 0), row["unknown"])
        for row in rows
    ]


def total_unspent(unspent: Iterable[Unspent]) -> Liability:
    total = Liability()
    for each in unspent:
        total.add(each.credits, {each.currency: each.micros} if each.currency else {})
    return total


def at_beginnings(
    days: Iterable[date], now: Liability, used: Mapping[date, Margin]
) -> dict[date, Liability]:
    """Return what was unspent when each day (UTC) began. `used` has what requests took by day."""
    wanted = set(days)
    added, taken = _read_added(min(wanted)), _read_taken(min(wanted))
    found, reached = {}, Liability()
    reached.add(now.credits, now.micros)
    for day in sorted({*added, *taken, *used, *wanted}, reverse=True):
        if day < min(wanted):
            break
        for change, times in ((added.get(day), -1), (taken.get(day), 1)):
            if change:
                reached.add(change.credits, change.micros, times=times)
        if margin := used.get(day):
            reached.add(margin.charged_credits, margin.sold_micros)
        if day in wanted:
            found[day] = Liability(reached.credits, dict(reached.micros))
    return found


def _read_added(first: date) -> dict[date, Liability]:
    """Return what became lots since a day, by day."""
    rows = (
        _by_day(Lot.objects.filter(created_at__gte=midnight(first)), "created_at")
        .values("day", "currency")
        .annotate(credits=Sum("granted_credits"), micros=Sum("paid_micros", default=0))
    )
    found: dict[date, Liability] = {}
    for row in rows:
        money = {row["currency"]: row["micros"]} if row["currency"] else {}
        found.setdefault(row["day"], Liability()).add(row["credits"], money)
    return found


def _read_taken(first: date) -> dict[date, Liability]:
    """Return what was taken since a day but by requests that are rolled up, by day."""
    entries = LedgerEntry.objects.exclude(kind=LedgerEntry.Kind.USAGE)
    credits = Lot.objects.exclude(currency="").order_by()
    currencies = list(credits.values_list("currency", flat=True).distinct())
    taken: dict[date, Liability] = {}
    for rows, instant, column, money in (
        (entries.filter(amount_credits__lt=0), "created_at", -F("amount_credits"), "sold_for"),
        *((each, "ended_at", F("charged_credits"), "income_micros") for each in _read_fresh()),
    ):
        since = rows.filter(**{f"{instant}__gte": midnight(first)})
        for row in _sum_by_day(since, instant, column, money, currencies):
            change = {currency: row[f"sold_in_{currency}"] for currency in currencies}
            taken.setdefault(row["day"], Liability()).add(row["credits"], change)
    return taken


def _read_fresh() -> Iterable[QuerySet[UsageRecord]]:
    """Return the receipts that are not rolled up yet, of wallets that have been and have not."""
    due = UsageRecord.objects.filter(wallet__in=RollUpDue.objects.values("wallet"))
    yield due.filter(wallet__roll_up_mark__record_id__lt=F("pk"))
    yield due.filter(wallet__roll_up_mark=None)


def _sum_by_day(
    rows: QuerySet[Any], instant: str, credits: Any, money: str, currencies: Iterable[str]
) -> Iterable[Any]:
    sums = {
        f"sold_in_{currency}": Sum(
            Cast(KeyTextTransform(currency, money), BigIntegerField()), default=0
        )
        for currency in currencies
    }
    by_day: QuerySet[Any] = _by_day(rows, instant).values("day")
    summed: Iterable[Any] = by_day.annotate(credits=Sum(credits), **sums)
    return summed


def _by_day(rows: QuerySet[Any], instant: str) -> QuerySet[Any]:
    by_day: QuerySet[Any] = rows.order_by().annotate(day=TruncDate(instant, tzinfo=UTC))
    return by_day
