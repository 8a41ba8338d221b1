"""How instants become text on pages: in UTC, the same for everyone."""

from datetime import UTC, datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag
def instant(at: datetime | None, empty: str = "—") -> SafeString:
    """Return a <time> element to the minute, with the seconds in its title."""
    return _time(at, empty, "%b %Y, %H:%M")


@register.simple_tag
def day(at: datetime | None, empty: str = "—") -> SafeString:
    """Return a <time> element to the day."""
    return _time(at, empty, "%b %Y")


def _time(at: datetime | None, empty: str, form: str) -> SafeString:
    if at is None:
        return format_html("{}", empty)
    at = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(timespec="seconds"),
        f"{at:%Y-%m-%d %H:%M:%S}",
        f"{at.day} {at:{form}}",
    )
