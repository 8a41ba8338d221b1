"""Columns of lists and fields of pages: numbers and money as a person reads them.

A column keeps the name of its field, so `admin.css` can align every `…_credits` to the right.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.utils.html import format_html

from common import money

Column = Callable[[Any], str]
NOTHING = "–"


def number(path: str, description: str = "", *, is_signed: bool = False) -> Column:
    """Show an integer with thousands separators. The path may cross relations: `price.version`."""
    read = attrgetter(path)
    name = path.rpartition(".")[2]

    @admin.display(
        description=description or name.replace("_", " "), ordering=path.replace(".", "__")
    )
    def column(obj: Model) -> str:
        value = read(obj)
        if value is None:
            return NOTHING
        sign = "+" if is_signed and value > 0 else ""
        return f"{sign}{money.credits(value)}"

    column.__name__ = name
    return column


def price(path: str, description: str = "") -> Column:
    """Show an amount of `<something>_cents` in the currency of the same row."""
    read = attrgetter(path)

    @admin.display(description=description or path.removesuffix("_cents"), ordering=path)
    def column(obj: Any) -> str:
        return money.price(read(obj), obj.currency)

    column.__name__ = path
    return column


def state(text: str, tone: str) -> str:
    """Show a word in the colour of its tone: good, bad, waiting or quiet."""
    return format_html('<span class="state state-{}">{}</span>', tone, text)
