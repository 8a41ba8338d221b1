"""Rows of the desk's lists, written at once.

For each cell Django's admin finds out anew what its column is, and for each row it resolves an
address to keep the list's filters in it: half of what a page takes. Here both are done once a list.
"""

from collections.abc import Callable, Iterator
from datetime import date, time
from operator import attrgetter
from typing import Any
from urllib.parse import quote as percent

from django.contrib.admin.utils import display_for_field, display_for_value, lookup_field, quote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.db.models import DateField, DateTimeField, Field, ForeignKey, TimeField
from django.urls import reverse
from django.utils.html import conditional_escape, escape
from django.utils.safestring import SafeString

from accounts.desk.columns import moment

# What a cell shows of a row, and the classes of the cell.
Shown = tuple[str, str]
Show = Callable[[Any], Shown]


def rows_of(shown: ChangeList) -> list[SafeString]:
    """Return the cells of each row as Django's admin writes them, for a list that only shows."""
    cells = list(_cells_of(shown))
    return [SafeString("".join(cell(row) for cell in cells)) for row in shown.result_list]


def _cells_of(shown: ChangeList) -> Iterator[Callable[[Any], str]]:
    """Yield what writes a row's cell, column by column."""
    links = shown.list_display_links
    leads = False
    for name in shown.list_display:
        show = _column(shown, name)
        if links is not None and (name in links or not (links or leads)):
            yield _linked(shown, show, "td" if leads else "th")
            leads = True
        else:
            yield _plain(show)


def _plain(show: Show) -> Callable[[Any], str]:
    def cell(row: Any) -> str:
        text, classes = show(row)
        return f'<td class="{classes}">{conditional_escape(text)}</td>'

    return cell


def _linked(shown: ChangeList, show: Show, tag: str) -> Callable[[Any], str]:
    """Write a cell that leads to the row's page, which leads back to the list as it is filtered."""
    pages = reverse(f"admin:{shown.opts.app_label}_{shown.opts.model_name}_changelist")
    kept = escape(f"?{shown.preserved_filters}") if shown.preserved_filters else ""

    def cell(row: Any) -> str:
        text, classes = show(row)
        url = f"{pages}{percent(str(quote(getattr(row, shown.pk_attname))), safe='')}/change/{kept}"
        return f'<{tag} class="{classes}"><a href="{url}">{conditional_escape(text)}</a></{tag}>'

    return cell


def _column(shown: ChangeList, name: Any) -> Show:
    """Return what shows a column, given by the name of a field or of a method, or as a function."""
    page = shown.model_admin
    empty = page.get_empty_value_display()
    field = _field(shown, name)
    if field is not None:
        return _of_field(field, empty)
    called = name.__name__ if callable(name) else name
    classes = "action-checkbox" if called == "action_checkbox" else f"field-{called}"
    if callable(name):
        return _of_function(name, name, classes, empty)
    if hasattr(page, name) and name != "__str__":
        return _of_function(getattr(page, name), getattr(page, name), classes, empty)
    kind = getattr(shown.model, name, None)
    # A property says of its function what Django's decorator said of it.
    said = kind.fget if isinstance(kind, property) else kind
    return _of_function(lambda row: lookup_field(name, row, page)[2], said, classes, empty)


def _field(shown: ChangeList, name: Any) -> Field[Any, Any] | None:
    try:
        field = shown.lookup_opts.get_field(name)
    except FieldDoesNotExist:
        return None
    # An id is shown as what a method returns, and so is that of a related row.
    if not isinstance(field, Field) or field.auto_created or name != field.name:
        return None
    return field


def _of_function(read: Callable[[Any], Any], said: Any, classes: str, empty: str) -> Show:
    empty = getattr(said, "empty_value_display", empty)
    is_boolean = getattr(said, "boolean", False)

    def show(row: Any) -> Shown:
        try:
            value = read(row)
        except ObjectDoesNotExist:
            return empty, classes
        if isinstance(value, str):
            return (value if value.strip() else empty), classes
        text = display_for_value(value, empty, is_boolean)
        return text, f"{classes} nowrap" if isinstance(value, date | time) else classes

    return show


def _of_field(field: Field[Any, Any], empty: str) -> Show:
    read = attrgetter(field.name)
    write = _writer(field, empty)
    classes = f"field-{field.name}"
    if isinstance(field, DateField | TimeField | ForeignKey):
        classes += " nowrap"

    def show(row: Any) -> Shown:
        try:
            return write(read(row)), classes
        except ObjectDoesNotExist:
            return empty, classes

    return show


def _writer(field: Field[Any, Any], empty: str) -> Callable[[Any], str]:
    """Return what writes a field's value."""
    if isinstance(field, ForeignKey):
        return lambda value: empty if value is None else str(value)
    if field.flatchoices:
        names = dict(field.flatchoices)
        return lambda value: str(names.get(value, empty))
    if isinstance(field, DateTimeField):
        return lambda value: empty if value is None else moment(value)
    return lambda value: display_for_field(value, field, empty)
