"""API keys. Neither the secret, which nobody has, nor its digest is shown."""

from collections.abc import Sequence
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone

from accounts.admin_base import Tool, list_tool
from accounts.models import ApiKey
from billing.admin import columns
from billing.admin.actions import Asked, ReadOnlyWithActions, StaffAction
from billing.admin.filters import ConditionFilter
from billing.services.api_keys import revoke_api_key


class KeyStateFilter(ConditionFilter):
    title = "state"
    parameter_name = "state"
    conditions = {
        "usable": (
            "Usable",
            Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=Now())),
        ),
        "revoked": ("Revoked", Q(revoked_at__isnull=False)),
        "expired": ("Expired", Q(revoked_at=None, expires_at__lte=Now())),
    }


def revoke(asked: Asked[ApiKey]) -> str:
    return "Revoked." if revoke_api_key(asked.obj) else "It was revoked already."


REVOKE = StaffAction[ApiKey](
    name="revoke",
    label="Revoke",
    explanation="The key stops working at once and for good. Its owner can make another.",
    permission="accounts.change_apikey",
    apply=revoke,
    refusal=lambda key: "It is revoked already." if key.revoked_at else "",
)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyWithActions[ApiKey]):
    staff_actions = (REVOKE,)
    fields = (
        "user",
        "name",
        "hint",
        "state",
        "requests_per_minute",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    )
    list_display = ("name", "user", "hint", "state", "created_at", "last_used_at", "expires_at")
    list_select_related = ("user",)
    list_filter: ClassVar = (KeyStateFilter,)
    date_hierarchy = "created_at"
    search_fields = ("name", "hint", "user__email")

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        if key.is_usable(timezone.now()):
            return columns.state("usable", "good")
        return columns.state("revoked" if key.revoked_at else "expired", "quiet")

    def get_tools(self, request: HttpRequest, obj: ApiKey) -> Sequence[Tool]:
        return (
            *super().get_tools(request, obj),
            list_tool("Usage", "billing_usagerecord", api_key__id__exact=obj.pk),
        )
