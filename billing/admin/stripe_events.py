"""Stripe's events, seen and processed."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.filters import ConditionFilter
from billing.models import StripeEvent
from billing.stripe_inbox.events import process_again


class ProgressFilter(ConditionFilter):
    title = "progress"
    conditions = {
        "waiting": ("Not processed", Q(processed_at=None)),
        "failing": ("Failing", Q(processed_at=None) & ~Q(error="")),
        "processed": ("Processed", Q(processed_at__isnull=False)),
    }


def ask_again(asked: Asked[StripeEvent]) -> str:
    process_again(asked.obj)
    return "It will be processed again."


PROCESS_AGAIN = StaffAction[StripeEvent](
    name="process-again",
    label="Process again",
    explanation="Safe to repeat: a handler reads the object's present state from Stripe.",
    apply=ask_again,
)


@admin.register(StripeEvent)
class StripeEventAdmin(ReadOnlyWithActions[StripeEvent]):
    matters = (
        ProgressFilter.matter("Stripe events failing", "failing"),
        ProgressFilter.matter("Stripe events not processed", "waiting"),
    )
    staff_actions = (PROCESS_AGAIN,)
    list_display = ("event_id", "kind", "object_id", "received_at", "state", "attempts")
    fields: ClassVar[Any] = (
        "event_id",
        "kind",
        "object_id",
        "state",
        "received_at",
        "processed_at",
        "attempts",
        "next_attempt_at",
        "error",
        columns.facts("payload", "What was read of it"),
    )
    list_filter: ClassVar = (ProgressFilter, "kind")
    date_hierarchy = "received_at"
    search_fields = ("=event_id", "=object_id")

    @admin.display(description="State")
    def state(self, event: StripeEvent) -> str:
        if event.processed_at:
            return columns.state("processed", "good")
        return columns.state(*(("failing", "bad") if event.error else ("waiting", "waiting")))
