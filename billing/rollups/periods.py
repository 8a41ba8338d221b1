"""A time cut into hours, days or weeks of somebody's zone, for charts."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo

from django.utils.translation import gettext_lazy as _

# More bars than a chart has room for.
MOST_STEPS = 400


class Step(StrEnum):
    """What one bar of a chart stands for. Weeks begin on Monday."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"

    @property
    def words(self) -> str:
        """Return its name in the reader's language."""
        return str(STEP_WORDS[self])


STEP_WORDS = {Step.HOUR: _("hour"), Step.DAY: _("day"), Step.WEEK: _("week")}


@dataclass(frozen=True, slots=True)
class Period:
    """Steps that follow each other without a gap. Each ends where the next one starts."""

    step: Step
    zone: ZoneInfo
    starts: tuple[datetime, ...]
    ends_at: datetime

    @property
    def starts_at(self) -> datetime:
        """Return when the first step starts."""
        return self.starts[0]

    def index_of(self, at: datetime) -> int:
        """Return the step that an instant of the period is in, from 0."""
        return bisect_right(self.starts, at) - 1


def last_hours(hours: int, *, now: datetime, zone: ZoneInfo) -> Period:
    """Return so many hours up to the present one, which is cut by the clock of the zone."""
    # An hour is an hour, also where clocks are put back: reckoned in UTC.
    present = now.astimezone(zone).replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    starts = tuple(present - timedelta(hours=ago) for ago in range(hours - 1, -1, -1))
    return Period(Step.HOUR, zone, starts, present + timedelta(hours=1))


def between(first: date, last: date, *, step: Step, zone: ZoneInfo) -> Period:
    """Return the steps of these days, the last one included."""
    ends_at = midnight(last + timedelta(days=1), zone)
    if step is Step.HOUR:
        starts_at = midnight(first, zone)
        hours = range(-((starts_at - ends_at) // timedelta(hours=1)))
        return Period(step, zone, tuple(starts_at + timedelta(hours=h) for h in hours), ends_at)
    if step is Step.WEEK:
        first -= timedelta(days=first.weekday())
    stride = 7 if step is Step.WEEK else 1
    days = range(0, (last - first).days + 1, stride)
    return Period(
        step, zone, tuple(midnight(first + timedelta(days=day), zone) for day in days), ends_at
    )


def midnight(day: date, zone: tzinfo = UTC) -> datetime:
    """Return the instant (UTC) at which a day begins in a zone."""
    return datetime.combine(day, time(), zone).astimezone(UTC)


def count_steps(first: date, last: date, step: Step) -> int:
    """Return about how many steps these days have."""
    days = (last - first).days + 1
    return {Step.HOUR: 24 * days, Step.DAY: days, Step.WEEK: days // 7 + 1}[step]


def fitting_step(first: date, last: date) -> Step:
    """Return the step in which these days are best drawn."""
    days = (last - first).days + 1
    if days <= 3:
        return Step.HOUR
    return Step.DAY if days <= 92 else Step.WEEK
