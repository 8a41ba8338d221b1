"""The inbox: what a person has to look at, and the resolution that closes it."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Model, Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.facts import definitions
from accounts.desk.filters import ConditionFilter, Lookups
from accounts.desk.pages import Tool
from billing.admin.inbox_advice import advice_of, known_of, tools_of
from billing.ledger.inbox import assign_item, resolve_item
from billing.models import InboxItem
from billing.upkeep.stuck_holds import end_hold


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


def take(asked: Asked[InboxItem]) -> str:
    is_theirs = assign_item(asked.obj, asked.actor)
    return "It is yours now." if is_theirs else "Somebody resolved it first."


def let_go(asked: Asked[InboxItem]) -> str:
    assign_item(asked.obj, None)
    return "Nobody looks after it now."


TAKE = StaffAction[InboxItem](
    name="take",
    label="Take it",
    explanation="Says that you look after it, so that nobody does it twice.",
    apply=take,
    refusal=lambda item: "It is resolved already." if item.resolved_at else "",
)
LET_GO = StaffAction[InboxItem](
    name="let-go",
    label="Let go",
    explanation="Leaves it to whoever takes it next.",
    apply=let_go,
    refusal=lambda item: "" if item.assigned_to_id and not item.resolved_at else "Nobody has it.",
)


def end_stuck(asked: Asked[InboxItem]) -> str:
    detail = asked.obj.detail
    is_ended = end_hold(detail["request"], detail["wallet"])
    return "Its hold is ended." if is_ended else "It was ended before, or is under way again."


def why_not_ended(item: InboxItem) -> str:
    is_stuck = item.kind == "hold_stuck" and item.detail.get("wallet")
    return "" if is_stuck and not item.resolved_at else "It is about no open hold."


END_HOLD = StaffAction[InboxItem](
    name="end-hold",
    label="End the hold",
    explanation="Ends a hold whose lease ran out, as the reaper would: at what it had used.",
    apply=end_stuck,
    refusal=why_not_ended,
    is_atomic=False,
)


class HandsFilter(admin.SimpleListFilter):
    """Shows what one looks after oneself, or what nobody does."""

    title = "in whose hands"
    parameter_name = "hands"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Lookups:
        return [("mine", "Mine"), ("nobody", "Nobody's")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model] | None:
        match self.value():
            case "mine":
                return queryset.filter(assigned_to=request.user.pk)
            case "nobody":
                return queryset.filter(assigned_to=None)
            case _:
                return None


@admin.register(InboxItem)
class InboxItemAdmin(ReadOnlyWithActions[InboxItem]):
    matters = (OpenFilter.matter("Open inbox items", "open"),)
    staff_actions = (RESOLVE, END_HOLD, TAKE, LET_GO)
    # Open items first; PostgreSQL would put them last.
    ordering = (F("resolved_at").asc(nulls_first=True), "-pk")
    list_display = ("summary", "kind", "created_at", "state", "assigned_to", "resolved_by")
    fields: ClassVar[Any] = (
        "summary",
        "what_to_do",
        "known",
        "kind",
        "reference",
        "state",
        "assigned_to",
        "created_at",
        "resolved_at",
        "resolved_by",
        "resolution",
    )
    list_select_related = ("resolved_by", "assigned_to")
    list_filter: ClassVar = (OpenFilter, HandsFilter, "kind")
    date_hierarchy = "created_at"
    search_fields = ("=reference", "summary")

    @admin.display(description="State", ordering="resolved_at")
    def state(self, item: InboxItem) -> str:
        return columns.state(*(("resolved", "good") if item.resolved_at else ("open", "bad")))

    @admin.display(description="What to do")
    def what_to_do(self, item: InboxItem) -> str:
        return advice_of(item).words

    @admin.display(description="What is known")
    def known(self, item: InboxItem) -> str:
        return definitions(
            (name, format_html('<a href="{}">{}</a>', url, text) if url else text)
            for name, text, url in known_of(item)
        )

    def get_tools(self, request: HttpRequest, obj: InboxItem) -> Sequence[Tool]:
        return [*tools_of(obj), *super().get_tools(request, obj)]
