"""Usage as stacked bars: where each part stands, and what it is of.

Lengths are in percent of the chart's height, so that a template only places them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.utils.dateformat import format as format_date
from django.utils.formats import get_format
from django.utils.translation import gettext, gettext_lazy, pgettext

from accounts.models import ApiKey, User
from billing.ledger.usage import EVERYTHING, UsageFilter
from billing.models import UsageRecord, Wallet
from billing.rollups.periods import Period, Step
from billing.rollups.reads import Used, sum_by_step

# The colours of a chart; what comes after the greatest of them is one group.
MOST_GROUPS = 6
OTHER = gettext_lazy("Other")
GRID_LINES = 4
# What a line may stand for, times a power of ten.
ROUND_TENTHS = (10, 15, 20, 25, 30, 40, 50, 60, 80)
# What a bar is tall at least, in percent, so that one request among thousands is seen.
LEAST_HEIGHT = 0.8
OUTCOMES = {
    UsageRecord.Outcome.COMPLETED: gettext_lazy("Completed"),
    UsageRecord.Outcome.CLIENT_LEFT: gettext_lazy("You disconnected"),
    UsageRecord.Outcome.BROKEN: gettext_lazy("Broke off"),
    UsageRecord.Outcome.ABANDONED: gettext_lazy("Interrupted"),
}


class Figure(StrEnum):
    """What the bars count."""

    CREDITS = "credits"
    REQUESTS = "requests"
    TOKENS = "tokens"

    @property
    def words(self) -> str:
        """Return its name in the reader's language."""
        return str(FIGURE_WORDS[self])

    def of(self, used: Used) -> int:
        if self is Figure.CREDITS:
            return used.charged_credits
        if self is Figure.REQUESTS:
            return used.requests
        return used.prompt_tokens + used.completion_tokens


FIGURE_WORDS = {
    Figure.CREDITS: gettext_lazy("credits"),
    Figure.REQUESTS: gettext_lazy("requests"),
    Figure.TOKENS: gettext_lazy("tokens"),
}


@dataclass(slots=True)
class Group:
    """Requests that are alike, over the whole period. `colour` counts from 0."""

    name: str
    colour: int
    used: Used = field(default_factory=Used)
    # In the chart's figure, and its percentage of the sum.
    total: int = 0
    share: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """One group's part of a bar."""

    colour: int
    top: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """One step. `values` has the figure of each group, in their order."""

    label: str
    used: Used
    total: int
    values: list[int]
    parts: list[Part]


@dataclass(frozen=True, slots=True)
class Chart:
    """A period's bars, oldest first. `axis` counts from above down to 0."""

    figure: Figure
    period: Period
    bars: list[Bar]
    groups: list[Group]
    used: Used
    axis: list[int]
    ticks: list[str]

    @property
    def width(self) -> int:
        """Return the width of the drawing, of which each bar has 10."""
        return 10 * len(self.bars)

    @property
    def total(self) -> int:
        """Return what all bars add up to."""
        return self.figure.of(self.used)


def draw(
    wallet: Wallet,
    period: Period,
    chosen: UsageFilter = EVERYTHING,
    *,
    by: str = "",
    figure: Figure = Figure.CREDITS,
) -> Chart:
    """Return the chart of what a wallet used in a period, by a group of `rollups.reads.GROUPS`."""
    found = sum_by_step(wallet, period, by=by, where=chosen.where)
    return lay_out(found, period, by=by, figure=figure)


def lay_out(
    found: Mapping[tuple[Any, ...], Used],
    period: Period,
    *,
    by: str = "",
    figure: Figure = Figure.CREDITS,
) -> Chart:
    """Return the chart of what `sum_by_step` found."""
    groups, place = _group(found, by, figure)
    cells = [[Used() for _ in groups] for _ in period.starts]
    used = Used()
    for (step, *key), each in found.items():
        for into in (cells[step - 1][place[tuple(key)]], groups[place[tuple(key)]].used, used):
            into.merge(each)
    for group in groups:
        group.total = figure.of(group.used)
        group.share = round(100 * group.total / (figure.of(used) or 1))
    return _chart(period, figure, groups, cells, used)


def _group(
    found: Mapping[tuple[Any, ...], Used], by: str, figure: Figure
) -> tuple[list[Group], dict[tuple[Any, ...], int]]:
    """Return the groups, the greatest first, and at which of them each key is counted."""
    sizes: dict[tuple[Any, ...], int] = {}
    for (_, *key), used in found.items():
        sizes[tuple(key)] = sizes.get(tuple(key), 0) + figure.of(used)
    ranked = sorted(sizes, key=lambda key: (-sizes[key], str(key)))
    names = _name(by, [key[0] for key in ranked[:MOST_GROUPS]]) if by else [figure.words]
    groups = [Group(name, colour) for colour, name in enumerate(names)]
    if len(ranked) > MOST_GROUPS:
        groups.append(Group(str(OTHER), MOST_GROUPS))
    return groups, {key: min(at, MOST_GROUPS) for at, key in enumerate(ranked)}


def _name(by: str, keys: list[Any]) -> list[str]:
    if by == "outcome":
        return [str(OUTCOMES[UsageRecord.Outcome(key)]) for key in keys]
    if by == "key":
        found = {key.pk: key for key in ApiKey.objects.filter(pk__in=keys)}
        return [found[pk].name for pk in keys]
    if by == "member":
        people = dict(User.objects.filter(pk__in=keys).values_list("pk", "email"))
        return [people[pk] for pk in keys]
    return [str(key) for key in keys]


def _chart(
    period: Period,
    figure: Figure,
    groups: list[Group],
    cells: list[list[Used]],
    used: Used,
) -> Chart:
    rows = [[figure.of(cell) for cell in row] for row in cells]
    top = nice_top(max((sum(row) for row in rows), default=0))
    bars = []
    for start, row, values in zip(period.starts, cells, rows, strict=True):
        of_bar = Used()
        for cell in row:
            of_bar.merge(cell)
        bars.append(Bar(_label(period, start), of_bar, sum(values), values, _stack(values, top)))
    axis = [top * line // GRID_LINES for line in range(GRID_LINES, -1, -1)]
    return Chart(figure, period, bars, groups, used, axis, _ticks(period))


def _stack(values: list[int], top: int) -> list[Part]:
    """Return the parts of a bar, the first at the bottom."""
    parts, reached = [], 100.0
    for colour, value in enumerate(values):
        if value:
            height = max(100 * value / top, LEAST_HEIGHT)
            reached = max(0.0, reached - height)
            parts.append(Part(colour, round(reached, 2), round(height, 2)))
    return parts


def nice_top(highest: int) -> int:
    """Return the end of an axis for bars up to `highest`: its quarters are round figures."""
    power = 1
    while True:
        for tenths in ROUND_TENTHS:
            line, rest = divmod(tenths * power, 10)
            if not rest and line * GRID_LINES >= highest:
                return line * GRID_LINES
        power *= 10


def _label(period: Period, start: datetime) -> str:
    at = start.astimezone(period.zone)
    if period.step is Step.HOUR:
        return format_date(at, pgettext("an hour of a chart", "D j M, H:i"))
    if period.step is Step.DAY:
        return format_date(at, pgettext("a day of a chart", "D j M Y"))
    last = (start + timedelta(days=6, hours=12)).astimezone(period.zone)
    return gettext("{first} to {last}").format(
        first=format_date(at, get_format("MONTH_DAY_FORMAT")),
        last=format_date(last, get_format("DATE_FORMAT")),
    )


def _ticks(period: Period) -> list[str]:
    """Return the words below the chart, each of the bar that begins above it."""
    many = next((n for n in (7, 6, 5, 4) if len(period.starts) % n == 0), 1)
    every = len(period.starts) // many
    return [_tick(period, start) for start in period.starts[::every]]


def _tick(period: Period, start: datetime) -> str:
    at = start.astimezone(period.zone)
    is_within_days = period.step is Step.HOUR and len(period.starts) <= 48
    return format_date(at, "H:i" if is_within_days else get_format("MONTH_DAY_FORMAT"))
