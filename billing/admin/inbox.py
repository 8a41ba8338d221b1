"""The inbox: what a person has to look at, and the resolution that closes it."""

import json
from typing import ClassVar

from django.contrib import admin
from django.db.models import F, Q
from django.utils.html import format_html

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import Matter
from billing.ledger.inbox import resolve_item
from billing.models import InboxItem


class OpenFilter(ConditionFilter):
    title = "state"
    parameter_name = "state"
    conditions = {
        "open": ("Open", Q(resolved_at=None)),
        "resolved": ("Resolved", Q(resolved_at__isnull=False)),
    }


def resolve(asked: Asked[InboxItem]) -> str:
    is_first = resolve_item(asked.obj, actor=asked.actor, resolution=asked.reason)
    return "Resolved." if is_first else "Somebody else resolved it first."


RESOLVE = StaffAction[InboxItem](
    name="resolve",
    label="Resolve",
    explanation="Closes the item with your word. It changes nothing else: act first, then resolve.",
    permission="billing.change_inboxitem",
    apply=resolve,
    refusal=lambda item: "It is resolved already." if item.resolved_at else "",
)


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnlyWithActions[InboxItem]):
    matters = (Matter("Open inbox items", "state=open", OpenFilter.conditions["open"][1]),)
    staff_actions = (RESOLVE,)
    # Open items first; PostgreSQL would put them last.
    ordering = (F("resolved_at").asc(nulls_first=True), "-pk")
    list_display = ("summary", "kind", "reference", "created_at", "state", "resolved_by")
    fields = (
        "summary",
        "kind",
        "reference",
        "state",
        "created_at",
        "formatted_detail",
        "resolved_at",
        "resolved_by",
        "resolution",
    )
    list_select_related = ("resolved_by",)
    list_filter: ClassVar = (OpenFilter, "kind")
    date_hierarchy = "created_at"
    search_fields = ("=reference", "summary")

    @admin.display(description="State", ordering="resolved_at")
    def state(self, item: InboxItem) -> str:
        return (
            columns.state("resolved", "good") if item.resolved_at else columns.state("open", "bad")
        )

    @admin.display(description="Detail")
    def formatted_detail(self, item: InboxItem) -> str:
        return format_html("<pre>{}</pre>", json.dumps(item.detail, indent=2, sort_keys=True))
