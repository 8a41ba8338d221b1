"""Margins as lines of a file: those of the days that the page showed, in its order.

They are one part, so that all are of one moment and none changes its place meanwhile.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

from django.contrib.admin.options import IncorrectLookupParameters
from django.http import QueryDict
from django.urls import reverse

from accounts.desk.roles import SEES_ADDRESSES, SEES_MARGIN
from accounts.models import User
from billing.exceptions import ExportRefused
from billing.exports.lines import Line, Part, to_cell
from billing.margin.names import TITLES, name_groups, name_own
from billing.margin.ordered import CHUNK, choose_order, stream_all
from billing.margin.own import read_own
from billing.margin.rates import COST_CURRENCY
from billing.margin.reads import Margin, read_margins
from common.batches import batches

MOST_DAYS = timedelta(days=366)
# What is told apart by an id.
BY_ID = ("customer", "key")


@dataclass(frozen=True, slots=True)
class Margins:
    """The margins by one grouping. Filters are the days, the order and the currencies of then."""

    by: str
    # All at once.
    rows_a_part: int = 0

    @property
    def name(self) -> str:
        return f"margin.{self.by}"

    @property
    def title(self) -> str:
        return f"Margin by {self.by}"

    def rights_for(self, user: User) -> list[str]:
        return [SEES_MARGIN, SEES_ADDRESSES]

    def page_url(self, query: str) -> str:
        lines = self._read(query)
        asked = {"by": self.by, "days": (lines.until - lines.since).days + 1, "sort": lines.order}
        return f"{reverse('admin:margin')}?{urlencode(asked)}"

    def clean(self, query: str) -> str:
        lines = self._read(query)
        return urlencode(
            {
                "since": lines.since,
                "until": lines.until,
                "sort": lines.order,
                "currencies": " ".join(lines.read_currencies()),
            }
        )

    def bounds(self) -> tuple[int, int]:
        return 0, 0

    def read(self, query: str, user: User, rights: Sequence[str]) -> "MarginLines":
        return self._read(query)

    def _read(self, query: str) -> "MarginLines":
        given = QueryDict(query)
        currencies = tuple(given.get("currencies", "").split())
        order = choose_order(self.by, given.get("sort", ""))
        return MarginLines(self.by, *read_days(given), order, currencies)


def read_days(given: QueryDict) -> tuple[date, date]:
    """Return the first and the last day. Raises IncorrectLookupParameters."""
    try:
        since, until = (date.fromisoformat(given.get(name, "")) for name in ("since", "until"))
    except ValueError as error:
        raise IncorrectLookupParameters(str(error)) from error
    if not timedelta(0) <= until - since < MOST_DAYS:
        raise IncorrectLookupParameters("These are no days, or more than a year.")
    return since, until


@dataclass(frozen=True, slots=True)
class MarginLines:
    """The lines of a file of margins. What was sold in each currency is in millionths."""

    by: str
    since: date
    until: date
    order: str
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

    def read_currencies(self) -> list[str]:
        """Return the currencies in which something was sold in these days."""
        of_site = read_margins("model", since=self.since, until=self.until)
        return sorted({name for row in of_site for name in row.sold_micros})

    def part(self, below: int, most: int) -> Part:
        return Part(self._lines(), 0, is_last=True)

    def _lines(self) -> Iterator[Line]:
        days = {"since": self.since, "until": self.until}
        found = stream_all(self.by, **days, order=self.order, currencies=self.currencies)
        for some in batches(found, CHUNK):
            names = name_groups(self.by, some)
            yield from (self._line(names[each.group][0], each) for each in some)
        yield from (self._line(name, each) for name, each in name_own(self.by, self._own()))
        # Nothing of another currency was left out: what is sold stays so.
        if not set(self.read_currencies()) <= set(self.currencies):
            raise ExportRefused("It was sold for another currency meanwhile: start it anew.")

    def _own(self) -> list[Margin]:
        return read_own(self.by, since=self.since, until=self.until)

    def _line(self, name: str, margin: Margin) -> Line:
        return [
            name,
            *([to_cell(margin.group)] if self.by in BY_ID else []),
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
