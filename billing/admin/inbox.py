"""The inbox: what a person has to look at, and the resolution that closes it."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Q

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.filters import ConditionFilter
from billing.ledger.inbox import resolve_item
from billing.models import InboxItem


class OpenFilter(ConditionFilter):
    title = "state"
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
    apply=resolve,
    refusal=lambda item: "It is resolved already." if item.resolved_at else "",
)


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnlyWithActions[InboxItem]):
    matters = (OpenFilter.matter("Open inbox items", "open"),)
    staff_actions = (RESOLVE,)
    # Open items first; PostgreSQL would put them last.
    ordering = (F("resolved_at").asc(nulls_first=True), "-pk")
    list_display = ("summary", "kind", "reference", "created_at", "state", "resolved_by")
    fields: ClassVar[Any] = (
        "summary",
        "kind",
        "reference",
        "state",
        "created_at",
        columns.as_json("detail", "Detail"),
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
        return columns.state(*(("resolved", "good") if item.resolved_at else ("open", "bad")))
