"""The ledger and its lots: what happened to every credit, and which credits are left."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import ReadOnlyAdmin
from billing.models import LedgerEntry, Lot

OWNER = columns.text("wallet.user.email", "Wallet of", name="owner")


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin[LedgerEntry]):
    """The ledger is never edited: a trigger refuses it too. A correction is an adjustment."""

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
    list_select_related = ("wallet__user", "actor")
    list_filter = ("kind",)
    date_hierarchy = "created_at"
    search_fields = ("=reference", "wallet__user__email")


class LotStateFilter(ConditionFilter):
    title = "what is left"
    parameter_name = "left"
    conditions = {
        "some": ("Something", Q(remaining_credits__gt=0)),
        "none": ("Nothing", Q(remaining_credits=0)),
    }


@admin.register(Lot)
class LotAdmin(ReadOnlyAdmin[Lot]):
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
    list_select_related = ("wallet__user",)
    list_filter: ClassVar = (LotStateFilter, "is_promotional")
    date_hierarchy = "created_at"
    search_fields = ("wallet__user__email", "=entry__reference")
