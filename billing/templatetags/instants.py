"""How instants become text on pages: in UTC, the same for everyone, or in the reader's zone."""

from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache

from django import template
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.formats import get_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import get_language

from common.money import localised

register = template.Library()


@register.simple_tag
def instant(at: datetime | None, empty: str = "—") -> SafeString:
    """Return a <time> element to the minute, with the seconds in its title."""
    return _time(at, empty, get_format("SHORT_DATETIME_FORMAT"))


@register.simple_tag
def second(at: datetime | None, empty: str = "–") -> SafeString:
    """Return a <time> element to the second, for the desk."""
    return _time(at, empty, get_format("DATETIME_FORMAT"))


@register.simple_tag
def day(at: datetime | None, empty: str = "—") -> SafeString:
    """Return a <time> element to the day."""
    return _time(at, empty, get_format("DATE_FORMAT"))


@register.filter
def seconds(duration_ms: int) -> str:
    """Return a duration such as 340 ms, 1.28 s or 2 min 5 s."""
    if duration_ms < 1_000:
        return f"{duration_ms} ms"
    if duration_ms < 60_000:
        return localised(f"{duration_ms / 1_000:.2f} s")
    return localised(f"{duration_ms // 60_000:,} min {duration_ms // 1_000 % 60} s")


@register.simple_tag
def local_instant(at: datetime, zone: tzinfo) -> SafeString:
    """Return a <time> element to the second in a zone, without the year if it is the present."""
    local = at.astimezone(zone)
    if local.year != timezone.now().astimezone(zone).year:
        return _time(at, "", get_format("DATETIME_FORMAT"), zone)
    return _element(local, f"{_day_of_year(local.date(), get_language())}, {local:%H:%M:%S}")


@lru_cache(maxsize=1_000)
def _day_of_year(on: date, language: str | None) -> str:
    """Return a day without its year; the requests of a list are of few days."""
    return format_date(on, get_format("MONTH_DAY_FORMAT", language))


@register.simple_tag
def minute_of(at: datetime, zone: tzinfo) -> SafeString:
    """Return a <time> element to the minute in a zone, which it names."""
    form = get_format("SHORT_DATETIME_FORMAT")
    shown = _time(at, "", form, zone)
    return format_html("{} {}", shown, f"{at.astimezone(zone):%Z}")


def _time(at: datetime | None, empty: str, form: str, zone: tzinfo = UTC) -> SafeString:
    if at is None:
        return format_html("{}", empty)
    at = at.astimezone(zone)
    return _element(at, format_date(at, form))


def _element(at: datetime, text: str) -> SafeString:
    return format_html(
        '<time datetime="{}" title="{} {}">{}</time>',
        at.isoformat(timespec="seconds"),
        f"{at:%Y-%m-%d %H:%M:%S}",
        f"{at:%Z}",
        text,
    )
