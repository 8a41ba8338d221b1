"""Margins as lines of a file: those of the days that the page showed, by one of its groupings.

Customers and keys are many. So theirs are read by ranges of ids, those of a part at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import attrgetter
from urllib.parse import urlencode

from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Max, Min, Model
from django.http import QueryDict
from django.urls import reverse

from accounts.desk.roles import SEES_ADDRESSES, SEES_MARGIN
from accounts.models import ApiKey, User
from billing.exceptions import ExportRefused
from billing.exports.lines import Line, Part
from billing.margin.names import TITLES, name_groups
from billing.margin.rates import COST_CURRENCY
from billing.margin.reads import GROUPS, Margin, read_margins
from billing.models import Wallet

MOST_DAYS = timedelta(days=366)
BY_ID: dict[str, type[Model]] = {"customer": Wallet, "key": ApiKey}


@dataclass(frozen=True, slots=True)
class Margins:
    """The margins by one grouping. Its filters are the days, and the currencies of the start."""

    by: str
    # Each part of a customers' file reads all keys of the days.
    rows_a_part: int = 20_000

    @property
    def name(self) -> str:
        return f"margin.{self.by}"

    @property
    def title(self) -> str:
        return f"Margin by {self.by}"

    def rights_for(self, user: User) -> list[str]:
        return [SEES_MARGIN, SEES_ADDRESSES]

    def page_url(self, query: str) -> str:
        since, until, _ = read_query(query)
        days = (until - since).days + 1
        return f"{reverse('admin:margin')}?{urlencode({'by': self.by, 'days': days})}"

    def clean(self, query: str) -> str:
        since, until, _ = read_query(query)
        of_site = read_margins("model", since=since, until=until)
        currencies = sorted({name for row in of_site for name in row.sold_micros})
        return urlencode({"since": since, "until": until, "currencies": " ".join(currencies)})

    def bounds(self) -> tuple[int, int]:
        if self.by not in BY_ID:
            return 0, 0
        ids = BY_ID[self.by]._default_manager.aggregate(first=Max("pk"), last=Min("pk"))
        return ids["first"] or 0, ids["last"] or 0

    def read(self, query: str, user: User, rights: Sequence[str]) -> "MarginLines":
        return MarginLines(self.by, *read_query(query))


def read_query(query: str) -> tuple[date, date, tuple[str, ...]]:
    """Return first day, last day and currencies. Raises IncorrectLookupParameters."""
    given = QueryDict(query)
    try:
        since, until = (date.fromisoformat(given.get(name, "")) for name in ("since", "until"))
    except ValueError as error:
        raise IncorrectLookupParameters(str(error)) from error
    if not timedelta(0) <= until - since < MOST_DAYS:
        raise IncorrectLookupParameters("These are no days, or more than a year.")
    return since, until, tuple(given.get("currencies", "").split())


@dataclass(frozen=True, slots=True)
class MarginLines:
    """The lines of a file of margins. What was sold in each currency is in millionths."""

    by: str
    since: date
    until: date
    currencies: tuple[str, ...]

    @property
    def titles(self) -> Line:
        unit = COST_CURRENCY.upper()
        return [
            TITLES[self.by],
            *(["Id"] if self.by in BY_ID else []),
            "Requests",
            "Credits charged",
            "Credits written off",
            *(f"Sold for, millionths of {each.upper()}" for each in self.currencies),
            f"Income, {unit}",
            f"Cost, {unit}",
            f"Margin, {unit}",
            "Requests of unknown income",
            "Requests of unknown cost",
            "Currencies without a rate",
        ]

    def part(self, below: int, most: int) -> Part:
        if self.by not in BY_ID:
            return Part(
                self._lines(read_margins(self.by, since=self.since, until=self.until)), 0, True
            )
        rows = BY_ID[self.by]._default_manager.filter(pk__lt=below).order_by("-pk")
        ids = list(rows.values_list("pk", flat=True)[:most])
        if not ids:
            return Part([], below, True)
        column, _ = GROUPS[self.by]
        within = {f"{column}__gte": ids[-1], f"{column}__lt": below}
        found = read_margins(self.by, since=self.since, until=self.until, **within)
        return Part(self._lines(found), ids[-1], len(ids) < most)

    def _lines(self, margins: list[Margin]) -> list[Line]:
        names = name_groups(self.by, margins)
        ranked = sorted(margins, key=attrgetter("group"), reverse=True)
        return [self._line(names[each.group][0], each) for each in ranked]

    def _line(self, name: str, margin: Margin) -> Line:
        if not margin.sold_micros.keys() <= set(self.currencies):
            raise ExportRefused("It was sold for another currency meanwhile: start it anew.")
        return [
            name,
            *([margin.group] if self.by in BY_ID else []),
            margin.requests,
            margin.charged_credits,
            margin.write_off_credits,
            *(margin.sold_micros.get(each, 0) for each in self.currencies),
            margin.income,
            margin.cost,
            margin.margin,
            margin.unknown_income_requests,
            margin.unpriced_requests,
            " ".join(sorted(margin.unrated)),
        ]
