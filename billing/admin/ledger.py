"""The ledger and its lots: what happened to every credit, and which credits are left."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.desk import columns
from accounts.desk.filters import ConditionFilter
from accounts.desk.long_lists import AgeFilter, LongListAdmin
from accounts.desk.pages import ReadOnlyAdmin
from billing.admin.search import search_rows
from billing.models import LedgerEntry, Lot

OWNER = columns.text("wallet.team", "Wallet of", name="owner")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(LongListAdmin[LedgerEntry]):
    """The ledger is never edited: a trigger refuses it too. A correction is an adjustment."""

    instant = "created_at"

    list_display = (
        "id",
        "created_at",
        OWNER,
        "kind",
        columns.number("amount_credits", "Credits", is_signed=True),
        columns.number("balance_credits", "Balance"),
        "reference",
        "actor",
        "reason",
    )
    fields: ClassVar[Any] = (
        "wallet",
        "kind",
        columns.number("amount_credits", "Credits", is_signed=True),
        columns.number("balance_credits", "Balance after it"),
        "reference",
        "actor",
        "reason",
        "created_at",
    )
    list_select_related = ("wallet__team__person", "actor")
    list_filter: ClassVar = ("kind", AgeFilter)
    search_fields = ("reference",)
    search_help_text = "A reference in full, or how a customer's e-mail address begins."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[LedgerEntry], search_term: str
    ) -> tuple[QuerySet[LedgerEntry], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        # The index of references begins with the kind.
        named = {"kind__in": LedgerEntry.Kind.values, "reference": term}
        return search_rows(self, request, queryset, term, **named), False


class LotStateFilter(ConditionFilter):
    title = "what is left"
    parameter_name = "left"
    conditions = {
        "some": ("Something", Q(remaining_credits__gt=0)),
        "none": ("Nothing", Q(remaining_credits=0)),
    }


@admin.register(Lot)
class LotAdmin(ReadOnlyAdmin[Lot]):
    # By any other column every row would be read.
    sortable_by = ("id",)
    list_display = (
        "id",
        OWNER,
        columns.number("granted_credits", "Granted"),
        columns.number("remaining_credits", "Left"),
        "is_promotional",
        "expires_at",
        "created_at",
    )
    fields: ClassVar[Any] = (
        "wallet",
        "entry",
        columns.number("granted_credits", "Granted"),
        columns.number("remaining_credits", "Left"),
        "is_promotional",
        "expires_at",
        "created_at",
    )
    list_select_related = ("wallet__team__person",)
    list_filter: ClassVar = (LotStateFilter, "is_promotional")
    date_hierarchy = "created_at"
    search_fields = ("wallet__team__memberships__user__email",)
    search_help_text = "The reference of its entry in full, or how a customer's address begins."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Lot], search_term: str
    ) -> tuple[QuerySet[Lot], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        kinds = LedgerEntry.Kind.values
        found = search_rows(
            self, request, queryset, term, entry__kind__in=kinds, entry__reference=term
        )
        return found, False
