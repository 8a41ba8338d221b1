"""Who is mailed of incidents: how many, and one address at a time."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from billing.models import StatusSubscription
from billing.notices.status.subscriptions import end_subscription


def ask_to_end(asked: Asked[StatusSubscription]) -> str:
    end_subscription(str(asked.obj.public_id))
    return "It is ended, and the address is forgotten."


END = StaffAction[StatusSubscription](
    name="end",
    label="End",
    explanation="Sends nothing more to this address, and forgets it.",
    apply=ask_to_end,
    # The trail keeps no address that was to be forgotten.
    get_changed=lambda row: StatusSubscription(),
    get_next=lambda asked: reverse("admin:billing_statussubscription_changelist"),
    is_for_one=True,
)


@admin.register(StatusSubscription)
class StatusSubscriptionAdmin(ReadOnlyWithActions[StatusSubscription]):
    """Shows whom a whole address was searched for: nobody needs a list of all."""

    staff_actions = (END,)
    list_display = ("address", "language", "asked_at", "confirmed_at")
    fields = ("address", "language", "model_names", "asked_at", "confirmed_at")
    search_fields = ("address",)
    search_help_text = "A whole address. No list is shown without one."

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StatusSubscription], search_term: str
    ) -> tuple[QuerySet[StatusSubscription], bool]:
        return queryset.filter(address=search_term.strip().lower()), False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        confirmed = StatusSubscription.objects.filter(confirmed_at__isnull=False).count()
        waiting = StatusSubscription.objects.filter(confirmed_at=None).count()
        title = f"{confirmed:,} confirmed, {waiting:,} not"
        return super().changelist_view(request, {**(extra_context or {}), "title": title})
