"""How the facts of a mail become text: instants are kept as ISO texts, and a mail has no <time>."""

from datetime import UTC, datetime

from django import template
from django.utils.dateformat import format as format_date
from django.utils.translation import pgettext

register = template.Library()


@register.filter
def day_of(text: str) -> str:
    """Return an ISO instant such as 2 March 2026."""
    at = datetime.fromisoformat(text).astimezone(UTC)
    return format_date(at, pgettext("a day, spelled out", "j F Y"))


@register.filter
def minute_of(text: str) -> str:
    """Return an ISO instant such as 2 March 2026, 12:00 UTC."""
    at = datetime.fromisoformat(text).astimezone(UTC)
    return format_date(at, pgettext("an instant, spelled out", "j F Y, H:i")) + " UTC"


@register.filter
def month_of(text: str) -> str:
    """Return a month such as 2026-03 as March 2026."""
    return format_date(datetime.strptime(text, "%Y-%m"), pgettext("a month, spelled out", "F Y"))  # noqa: DTZ007 - a month has no zone


@register.inclusion_tag("mail/_row.html")
def row(label: str, value: object) -> dict[str, object]:
    """Return one row of the table of facts."""
    return {"label": label, "value": value}


@register.inclusion_tag("mail/_button.html")
def button(label: str, url: str) -> dict[str, str]:
    """Return the mail's button, which links to the one thing to do."""
    return {"label": label, "url": url}
