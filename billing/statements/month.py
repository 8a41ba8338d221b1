"""A customer's statement of one month, from the ledger and nothing else.

A month is a calendar month in UTC. An entry belongs to the month of its `created_at`, so the
opening balance and the lines add up exactly to the closing balance. A closed month's statement
never changes: entries are never edited, and none is written with a past instant.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db.models import CharField, Count, F, Func, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.formats import get_format
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from accounts.models import ApiKey, Company
from billing.ledger.entry_words import describe
from billing.ledger.references import SEPARATOR
from billing.models import LedgerEntry, Order, UsageRecord, Wallet
from billing.stripe_api import parse_order_id
from common.money import price

Kind = LedgerEntry.Kind

# An entry gets its instant before its transaction commits, which takes seconds at most.
CLOSING_TIME = timedelta(hours=1)
MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")

# The sections of a statement, in order. Usage is listed in another form.
SECTIONS = (
    (Kind.PURCHASE, _("Orders")),
    (Kind.GRANT, _("Gifts and codes")),
    (Kind.REINSTATEMENT, _("Given back")),
    (Kind.CLAWBACK, _("Refunds and disputes")),
    (Kind.EXPIRY, _("Expired")),
    (Kind.ADJUSTMENT, _("Corrections")),
)


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, at: datetime) -> "Month":
        at = at.astimezone(UTC)
        return cls(at.year, at.month)

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    @property
    def next(self) -> "Month":
        return Month(self.year + self.number // 12, self.number % 12 + 1)

    @property
    def end(self) -> datetime:
        """Return the first instant after it."""
        return self.next.start

    @property
    def last_day(self) -> date:
        return (self.end - timedelta(days=1)).date()

    @property
    def is_closed(self) -> bool:
        """Tell whether no entry can be added to it any more."""
        return timezone.now() >= self.end + CLOSING_TIME

    @property
    def words(self) -> str:
        return format_date(self.start, get_format("YEAR_MONTH_FORMAT"))

    def __str__(self) -> str:
        return f"{self.year}-{self.number:02}"


@dataclass(frozen=True, slots=True)
class Line:
    """One entry that is not usage."""

    at: datetime
    words: str
    reference: str
    amount_credits: int


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What one key spent on one model."""

    model_name: str
    key_name: str
    key_hint: str
    requests: int
    amount_credits: int


@dataclass(frozen=True, slots=True)
class Section:
    """The entries of one kind, oldest first."""

    title: str
    lines: Sequence[Line]

    @property
    def amount_credits(self) -> int:
        return sum(line.amount_credits for line in self.lines)


@dataclass(frozen=True, slots=True)
class Statement:
    """One wallet's month: opening + sections + usage = closing."""

    email: str
    # The company, its address and tax id as they are today, one line each.
    company: Sequence[str]
    month: Month
    is_closed: bool
    opening_credits: int
    sections: Sequence[Section] = field(default_factory=tuple)
    usage: Sequence[UsageLine] = field(default_factory=tuple)

    @property
    def usage_credits(self) -> int:
        """Return what usage took, as a negative number."""
        return sum(line.amount_credits for line in self.usage)

    @property
    def closing_credits(self) -> int:
        return (
            self.opening_credits
            + sum(section.amount_credits for section in self.sections)
            + self.usage_credits
        )


def parse_month(text: str) -> Month | None:
    """Return the month that a text such as 2026-03 names; None if it names none."""
    found = MONTH.fullmatch(text)
    return Month(int(found[1]), int(found[2])) if found else None


def list_months(wallet: Wallet) -> list[Month]:
    """Return the months for which a wallet has a statement, newest first, with the present one."""
    month, last = Month.of(wallet.created_at), Month.of(timezone.now())
    # A wallet is older than its entries, unless rows were put in by hand.
    first_entry = wallet.entries.order_by("pk").first()
    if first_entry is not None:
        month = min(month, Month.of(first_entry.created_at))
    months = [month]
    while months[-1] < last:
        months.append(months[-1].next)
    return months[::-1]


def make_statement(wallet: Wallet, month: Month) -> Statement:
    """Return the statement of a month; of an open month, what is booked so far."""
    entries = wallet.entries.filter(created_at__gte=month.start, created_at__lt=month.end)
    before = wallet.entries.filter(created_at__lt=month.start)
    return Statement(
        email=str(wallet.team),
        company=[line for each in Company.objects.filter(team=wallet.team) for line in each.lines],
        month=month,
        is_closed=month.is_closed,
        opening_credits=before.aggregate(sum=Sum("amount_credits", default=0))["sum"],
        sections=_sections(entries.exclude(kind=Kind.USAGE).order_by("created_at", "pk")),
        usage=_usage(entries.filter(kind=Kind.USAGE)),
    )


def _sections(entries: QuerySet[LedgerEntry]) -> list[Section]:
    found = list(entries)
    prices = _prices([e.reference for e in found if e.kind == Kind.PURCHASE])
    sections = []
    for kind, title in SECTIONS:
        lines = [_line(entry, prices) for entry in found if entry.kind == kind]
        if lines:
            sections.append(Section(gettext(title), lines))
    return sections


def _line(entry: LedgerEntry, prices: dict[str, str]) -> Line:
    words = describe(entry)
    if entry.reference in prices:
        words = f"{words}, {prices[entry.reference]}"
    return Line(entry.created_at, words, entry.reference, entry.amount_credits)


def _prices(order_ids: list[str]) -> dict[str, str]:
    """Return what was paid for these orders, by order id: with tax, less discount."""
    public_ids = [order_id for text in order_ids if (order_id := parse_order_id(text))]
    return {
        str(order.public_id): price(order.charged_cents, order.currency)
        for order in Order.objects.filter(public_id__in=public_ids)
    }


def _usage(entries: QuerySet[LedgerEntry]) -> list[UsageLine]:
    """Sum usage by model and key, the most expensive first.

    A request whose charge was raised later has more than one entry (`RequestRaise`). It counts as
    one request in the month of its first entry; each amount counts in the month of its own entry.
    """
    record = UsageRecord.objects.filter(request_id=OuterRef("request_id"))
    rows = (
        entries.annotate(
            request_id=Func(
                F("reference"),
                Value(SEPARATOR),
                Value(1),
                function="split_part",
                output_field=CharField(),
            )
        )
        .annotate(
            model=Subquery(record.values("model_name")), key=Subquery(record.values("api_key_id"))
        )
        .values("model", "key")
        .order_by("model", "key")
        .annotate(
            requests=Count("pk", filter=Q(reference=F("request_id"))),
            amount=Sum("amount_credits"),
        )
    )
    found = list(rows)
    keys = ApiKey.objects.in_bulk([row["key"] for row in found if row["key"]])
    lines = [
        UsageLine(
            model_name=row["model"] or gettext("Unknown"),
            key_name=keys[row["key"]].name if row["key"] else gettext("Unknown"),
            key_hint=keys[row["key"]].hint if row["key"] else "",
            requests=row["requests"],
            amount_credits=row["amount"],
        )
        for row in found
    ]
    return sorted(lines, key=lambda line: line.amount_credits)
