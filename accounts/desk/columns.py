"""Columns of lists and fields of pages: numbers and money as a person reads them.

A column keeps the name of its field, so `admin.css` can align every `…_credits` to the right. The
path to a field may cross relations: `price.version`.
"""

from collections.abc import Callable
from datetime import datetime
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.timezone import get_current_timezone

from accounts.desk.facts import facts as as_facts
from common import money

Column = Callable[[Any], str]
NOTHING = "–"
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def text(path: str, description: str, *, name: str) -> Column:
    """Show a field of a related row."""
    return _column(attrgetter(path), path, description, name)


def number(path: str, description: str, *, is_signed: bool = False) -> Column:
    """Show an integer with thousands separators."""
    read = attrgetter(path)

    def show(obj: Any) -> str:
        value = read(obj)
        if value is None:
            return NOTHING
        sign = "+" if is_signed and value > 0 else ""
        return f"{sign}{money.credits(value)}"

    return _column(show, path, description)


def price(path: str, description: str, *, currency: str = "currency") -> Column:
    """Show an amount in the smallest unit of the currency at the path `currency`."""
    read, read_currency = attrgetter(path), attrgetter(currency)

    def show(obj: Any) -> str:
        value = read(obj)
        return NOTHING if value is None else money.price(value, read_currency(obj))

    return _column(show, path, description)


def facts(path: str, description: str) -> Column:
    """Show what is kept as JSON, a line for each value."""
    read = attrgetter(path)
    return _column(lambda obj: as_facts(read(obj)), path, description)


def moment(at: datetime) -> str:
    """Show an instant in the zone of whoever reads: what DATETIME_FORMAT says for English."""
    local = at.astimezone(get_current_timezone())
    return f"{local.day} {MONTHS[local.month - 1]} {local:%Y, %H:%M:%S}"


def state(text: str, tone: str) -> str:
    """Show a word in the colour of its tone: good, bad, waiting or quiet."""
    return format_html('<span class="state state-{}">{}</span>', tone, text)


def _column(show: Column, path: str, description: str, name: str = "") -> Column:
    @admin.display(description=description, ordering=path.replace(".", "__"))
    def column(obj: Any) -> str:
        return show(obj)

    column.__name__ = name or path.rpartition(".")[2]
    return column
