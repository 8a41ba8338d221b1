"""The years, months and days that a list of the desk can be limited to.

All between the first and the last instant of the list without its filters, which two looks into an
index find. Django asks every row which days there are.
"""

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.db.models import Max, Min
from django.utils.formats import date_format
from django.utils.text import capfirst

PARTS = ("year", "month", "day")


@dataclass(frozen=True, slots=True)
class Choice:
    """What a list can be limited to; without an address, what it is limited to."""

    title: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Dates:
    """The way back to a longer time, and the shorter ones within."""

    back: Choice | None
    choices: list[Choice]


def dates_of(shown: ChangeList) -> Dates | None:
    """Return the times that a list can be limited to; None without rows."""
    bounds = _read_bounds(shown)
    if bounds is None:
        return None
    year, month, day = _chosen(shown, *bounds)
    if year and month and day:
        title = capfirst(date_format(date(year, month, day), "MONTH_DAY_FORMAT"))
        return Dates(_month(shown, year, month), [Choice(title)])
    if year and month:
        days = range(1, monthrange(year, month)[1] + 1)
        return Dates(
            Choice(str(year), _url(shown, year)),
            [
                Choice(
                    capfirst(date_format(each, "MONTH_DAY_FORMAT")),
                    _url(shown, year, month, each.day),
                )
                for each in _within((date(year, month, number) for number in days), bounds)
            ],
        )
    if year:
        months = (date(year, number, 1) for number in range(1, 13))
        first = bounds[0].replace(day=1)
        return Dates(
            Choice("All dates", _url(shown)),
            [_month(shown, year, each.month) for each in _within(months, (first, bounds[1]))],
        )
    years = range(bounds[0].year, bounds[1].year + 1)
    return Dates(None, [Choice(str(each), _url(shown, each)) for each in years])


def _read_bounds(shown: ChangeList) -> tuple[date, date] | None:
    rows = shown.root_queryset.order_by()
    found = rows.aggregate(first=Min(shown.date_hierarchy), last=Max(shown.date_hierarchy))
    if found["first"] is None:
        return None
    return found["first"].astimezone(UTC).date(), found["last"].astimezone(UTC).date()


def _chosen(shown: ChangeList, first: date, last: date) -> list[int | None]:
    """Return year, month and day that are chosen; by themselves, if there is only one."""
    given = [shown.params.get(f"{shown.date_hierarchy}__{part}") for part in PARTS]
    if any(given):
        # Django refused what is no number.
        return [int(value) if value else None for value in given]
    same_month = first.year == last.year and first.month == last.month
    return [
        first.year if first.year == last.year else None,
        first.month if same_month else None,
        None,
    ]


def _within(dates: Iterable[date], bounds: tuple[date, date]) -> list[date]:
    first, last = bounds
    return [each for each in dates if first <= each <= last]


def _month(shown: ChangeList, year: int, month: int) -> Choice:
    title = capfirst(date_format(date(year, month, 1), "YEAR_MONTH_FORMAT"))
    return Choice(title, _url(shown, year, month))


def _url(shown: ChangeList, *chosen: int) -> str:
    """Return where the list is that is limited to a year, a month or a day."""
    field = shown.date_hierarchy
    limits: dict[str, Any] = {
        f"{field}__{part}": value for part, value in zip(PARTS, chosen, strict=False)
    }
    return shown.get_query_string(limits, [f"{field}__"])
