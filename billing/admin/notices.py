"""The mails to customers: what was sent, what waits, what failed and why."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import ReadOnlyAdmin
from billing.models import Notice, NotificationSettings, SignIn
from billing.notices.outbox import send_again


class ProgressFilter(ConditionFilter):
    title = "progress"
    conditions = {
        "sent": ("Sent", Q(sent_at__isnull=False)),
        "waiting": ("Waiting", Q(sent_at=None, given_up_at=None)),
        "failing": ("Failing", Q(sent_at=None) & ~Q(error="")),
        "given-up": ("Given up", Q(given_up_at__isnull=False)),
    }


def ask_to_send(asked: Asked[Notice]) -> str:
    send_again(asked.obj)
    return "It will be sent again."


SEND_AGAIN = StaffAction[Notice](
    name="send-again",
    label="Send again",
    explanation="Mails it within seconds to the customer's present address, also if it was sent"
    " before.",
    apply=ask_to_send,
)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyWithActions[Notice]):
    matters = (ProgressFilter.matter("Mails failing", "failing"),)
    staff_actions = (SEND_AGAIN,)
    list_display = ("kind", "user", "created_at", "state", "attempts")
    fields: ClassVar[Any] = (
        "kind",
        "user",
        "reference",
        "state",
        "created_at",
        "sent_at",
        "sent_to",
        "attempts",
        "next_attempt_at",
        "given_up_at",
        "error",
        columns.facts("facts", "Facts"),
    )
    list_select_related = ("user",)
    list_filter: ClassVar = (ProgressFilter, "kind")
    date_hierarchy = "created_at"
    search_fields = ("user__email", "=reference")

    @admin.display(description="State")
    def state(self, notice: Notice) -> str:
        if notice.sent_at:
            return columns.state("sent", "good")
        if notice.given_up_at:
            return columns.state("given up", "bad")
        if notice.error:
            return columns.state("failing", "bad")
        return columns.state("waiting", "waiting")


@admin.register(NotificationSettings)
class NotificationSettingsAdmin(ReadOnlyAdmin[NotificationSettings]):
    """Read-only: customers choose which mails they want."""

    list_display = (
        "user",
        "wants_low_balance",
        columns.number("low_balance_credits", "Threshold"),
        "wants_lot_expiring",
        "wants_top_up_succeeded",
        "wants_monthly_summary",
    )
    list_select_related = ("user",)
    search_fields = ("user__email",)


@admin.register(SignIn)
class SignInAdmin(ReadOnlyAdmin[SignIn]):
    """Where a customer signed in from, to answer "was that me?"."""

    list_display = ("user", "device_name", "network", "first_at", "last_at")
    fields = list_display
    list_select_related = ("user",)
    date_hierarchy = "last_at"
    search_fields = ("user__email", "network")
