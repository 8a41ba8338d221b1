"""What an export's rows are, and how each reads: the columns of its table, as a spreadsheet may
have them.
"""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest, QueryDict

from accounts.desk.changes import SECRETS
from accounts.desk.roles import SEES_ADDRESSES, SEES_MARGIN
from accounts.models import User
from billing.models import LedgerEntry, Lot, Order, UsageRecord
from billing.statements.csv_file import Cell, safe_cell

# The tables that can be exported, each with what is read along with a row.
TABLES: dict[type[Model], tuple[str, ...]] = {
    LedgerEntry: ("wallet__team__person",),
    Lot: ("wallet__team__person",),
    Order: ("team__person",),
    UsageRecord: ("wallet__team__person",),
}
# What tells of our costs.
OF_MARGIN = ("cost_nanos", "income_micros", "sold_for", "paid_micros")
# Of an address, where a list is in its pages, not what it is about.
OF_A_PAGE = ("p", "o", "all", "e")


def find_model(table: str) -> type[Model] | None:
    """Return the model of a name such as billing.order; None if it can't be exported."""
    return next((model for model in TABLES if model._meta.label_lower == table), None)


def rights_for(model: type[Model], user: User) -> list[str]:
    """Return the rights that an export takes which a person starts; they may lack some."""
    rights = [f"{model._meta.app_label}.view_{model._meta.model_name}", SEES_ADDRESSES]
    return [*rights, SEES_MARGIN] if user.has_perm(SEES_MARGIN) else rights


def clean_query(query: str) -> str:
    """Return what of an address chooses rows."""
    given = QueryDict(query, mutable=True)
    for name in OF_A_PAGE:
        given.pop(name, None)
    return given.urlencode()


def chosen_rows(table: str, query: str, user: User) -> QuerySet[Any]:
    """Return the rows that a person's list has at these filters, the newest first.

    Raises IncorrectLookupParameters.
    """
    model = apps.get_model(table)
    page = admin.site._registry[model]
    request = HttpRequest()
    request.method, request.user, request.GET = "GET", user, QueryDict(query)
    rows: QuerySet[Any] = page.get_changelist_instance(request).queryset
    return rows.select_related(*TABLES[model]).order_by("-pk")


def columns_of(model: type[Model], rights: Iterable[str]) -> list[Field[Any, Any]]:
    """Return the columns that may be read with these rights."""
    hidden = () if SEES_MARGIN in rights else OF_MARGIN
    return [
        each
        for each in model._meta.concrete_fields
        if each.name not in hidden and not any(part in each.name for part in SECRETS)
    ]


def write_header(columns: Sequence[Field[Any, Any]]) -> bytes:
    """Return the first line, with the byte order mark that Excel needs."""
    return _lines([["Customer", *(each.attname for each in columns)]]).encode("utf-8-sig")


def write_rows(columns: Sequence[Field[Any, Any]], rows: Iterable[Any]) -> bytes:
    """Return the lines of some rows."""
    return _lines(_line(columns, row) for row in rows).encode()


def _line(columns: Sequence[Field[Any, Any]], row: Any) -> list[Cell]:
    team = row.team if isinstance(row, Order) else row.wallet.team
    return [str(team), *(_cell(getattr(row, each.attname)) for each in columns)]


def _lines(rows: Iterable[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([[safe_cell(cell) for cell in row] for row in rows])
    return text.getvalue()


def _cell(value: Any) -> Cell:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return str(value)
