"""Debits that Redis has to decide: clawbacks, expiries, adjustments downwards."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import ReadOnlyAdmin
from billing.models import Debit


class BookedFilter(ConditionFilter):
    title = "progress"
    conditions = {
        "open": ("Open", Q(booked_at=None)),
        "booked": ("Booked", Q(booked_at__isnull=False)),
    }


@admin.register(Debit)
class DebitAdmin(ReadOnlyAdmin[Debit]):
    ordering = ("-pk",)
    list_display = (
        "id",
        "created_at",
        columns.text("wallet.team", "Wallet of", name="owner"),
        "kind",
        columns.number("amount_credits", "To take"),
        columns.number("taken_credits", "Taken"),
        "booked_at",
        "reference",
        "actor",
    )
    fields: ClassVar[Any] = (
        "wallet",
        "kind",
        columns.number("amount_credits", "To take"),
        columns.number("taken_credits", "Taken"),
        "reference",
        "lot",
        "order",
        "actor",
        "reason",
        "created_at",
        "booked_at",
    )
    list_select_related = ("wallet__team__person", "actor")
    list_filter: ClassVar = (BookedFilter, "kind")
    date_hierarchy = "created_at"
    search_fields = ("=reference", "wallet__team__memberships__user__email")
