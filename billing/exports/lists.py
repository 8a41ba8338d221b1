"""Lists of the desk as lines of a file: the rows that a person's list has, with their columns."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from django.contrib import admin
from django.db.models import Field, Max, Min, Model, QuerySet
from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils.text import capfirst

from accounts.audit import read_said
from accounts.desk.changes import SECRETS
from accounts.desk.roles import SEES_ADDRESSES, SEES_MARGIN
from accounts.models import AuditLine, User
from billing.exports.lines import AnyCell, Line, Part, to_cell
from billing.models import (
    Approval,
    Debit,
    Dispute,
    InboxItem,
    LedgerEntry,
    Lot,
    Order,
    Refund,
    UsageRecord,
)

Derived = Callable[[Any], AnyCell]
# What tells of our costs.
OF_MARGIN = ("cost_nanos", "income_micros", "sold_for", "paid_micros")
# Of an address, where a list is in its pages, not what it is about.
OF_A_PAGE = ("p", "o", "all", "e")


@dataclass(frozen=True, slots=True)
class Table:
    """A list of the desk. Its lines tell of the customer and what `derived` has, then the columns.

    The customer is at the path `team` from a row.
    """

    model: type[Model]
    team: str = ""
    derived: Mapping[str, Derived] = field(default_factory=dict)
    joined: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    rows_a_part: int = 2_000

    @property
    def name(self) -> str:
        return self.model._meta.label_lower

    @property
    def title(self) -> str:
        return str(capfirst(self.model._meta.verbose_name_plural))

    def rights_for(self, user: User) -> list[str]:
        meta = self.model._meta
        rights = [f"{meta.app_label}.view_{meta.model_name}", SEES_ADDRESSES]
        return [*rights, SEES_MARGIN] if user.has_perm(SEES_MARGIN) else rights

    def page_url(self, query: str) -> str:
        meta = self.model._meta
        return f"{reverse(f'admin:{meta.app_label}_{meta.model_name}_changelist')}?{query}"

    def clean(self, query: str) -> str:
        given = QueryDict(query, mutable=True)
        for name in OF_A_PAGE:
            given.pop(name, None)
        return given.urlencode()

    def bounds(self) -> tuple[int, int]:
        ids = self.model._default_manager.aggregate(first=Max("pk"), last=Min("pk"))
        return ids["first"] or 0, ids["last"] or 0

    def read(self, query: str, user: User, rights: Sequence[str]) -> "Rows":
        page = admin.site._registry[self.model]
        request = HttpRequest()
        request.method, request.user, request.GET = "GET", user, QueryDict(query)
        rows: QuerySet[Any] = page.get_changelist_instance(request).queryset
        joined = (f"{self.team.replace('.', '__')}__person",) if self.team else ()
        rows = rows.select_related(*joined, *self.joined).order_by("-pk")
        derived = {"Customer": self._customer, **self.derived} if self.team else self.derived
        return Rows(rows, derived, self._columns(rights))

    def _customer(self, row: Any) -> str:
        return str(reduce(getattr, self.team.split("."), row))

    def _columns(self, rights: Iterable[str]) -> list[Field[Any, Any]]:
        """Return the columns that may be read with these rights."""
        hidden = (*self.left_out, *(() if SEES_MARGIN in rights else OF_MARGIN))
        return [
            each
            for each in self.model._meta.concrete_fields
            if each.name not in hidden and not any(part in each.name for part in SECRETS)
        ]


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a list, as a file tells them."""

    rows: QuerySet[Any]
    derived: Mapping[str, Derived]
    columns: list[Field[Any, Any]]

    @property
    def titles(self) -> Line:
        return [*self.derived, *(each.attname for each in self.columns)]

    def part(self, below: int, most: int) -> Part:
        found = list(self.rows.filter(pk__lt=below)[:most])
        reached = found[-1].pk if found else below
        return Part([self._line(row) for row in found], reached, len(found) < most)

    def _line(self, row: Any) -> Line:
        derived = (derive(row) for derive in self.derived.values())
        return [*derived, *(to_cell(getattr(row, each.attname)) for each in self.columns)]


def _person(path: str) -> Derived:
    return lambda row: str(getattr(row, path) or "")


def _who(line: AuditLine) -> str:
    return str(line.actor) if line.actor else f"{line.command}, run by {line.os_user}"


ACTOR = {"Actor": _person("actor")}
OF_ORDER = {"Order": lambda row: str(row.order.public_id)}
LISTS = (
    Table(LedgerEntry, "wallet.team", ACTOR, ("actor",)),
    Table(Lot, "wallet.team"),
    Table(Order, "team"),
    Table(UsageRecord, "wallet.team"),
    Table(
        Refund,
        "order.team",
        {**OF_ORDER, "Currency": lambda row: row.order.currency, **ACTOR},
        ("actor",),
    ),
    Table(
        Dispute,
        "order.team",
        # Of old disputes, only the order tells it.
        {**OF_ORDER, "Currency": lambda row: row.currency or row.order.currency},
        left_out=("currency",),
    ),
    Table(Debit, "wallet.team", ACTOR, ("actor",)),
    Table(
        Approval,
        derived={"Asked by": _person("asked_by"), "Decided by": _person("decided_by")},
        joined=("asked_by", "decided_by"),
        left_out=("answers", "press"),
    ),
    Table(
        InboxItem,
        derived={"Assigned to": _person("assigned_to"), "Resolved by": _person("resolved_by")},
        joined=("assigned_to", "resolved_by"),
        left_out=("detail",),
    ),
    Table(
        AuditLine,
        derived={
            "Who": _who,
            "What": lambda line: read_said(line).name,
            "In words": lambda line: str(read_said(line)),
        },
        joined=("actor", "person__audit_key"),
        left_out=("said",),
    ),
)
