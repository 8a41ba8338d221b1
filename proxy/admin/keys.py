"""Our keys at the providers: their state, and the action that takes an ejected one back."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, StaffAction
from accounts.desk.filters import ConditionFilter
from proxy.models import ProviderKey
from proxy.upstreams.ejection import take_back_key


class StateFilter(ConditionFilter):
    title = "state"
    conditions = {
        "usable": ("Usable", Q(is_active=True, ejected_at=None)),
        "ejected": ("Ejected", Q(ejected_at__isnull=False)),
        "off": ("Switched off", Q(is_active=False)),
    }


def take_back(asked: Asked[ProviderKey]) -> str:
    was_ejected = take_back_key(asked.obj)
    return "It is used again." if was_ejected else "It was not ejected; it rests no longer."


TAKE_BACK = StaffAction[ProviderKey](
    name="take-back",
    label="Use again",
    explanation="Ends an ejection and every rest of the key. Refused again, it goes again.",
    apply=take_back,
)


def state_of(key: ProviderKey) -> str:
    """Say in one word whether a key is used."""
    if key.is_for_another_host:
        return columns.state("for another host", "bad")
    if key.ejected_at is not None:
        return columns.state("ejected", "bad")
    return columns.state("usable", "good") if key.is_active else columns.state("off", "quiet")


@admin.register(ProviderKey)
class ProviderKeyAdmin(ReadOnlyWithActions[ProviderKey]):
    """Lists all keys and takes ejected ones back. Keys are edited on their provider's page."""

    staff_actions = (TAKE_BACK,)
    list_display = ("hinted", "provider", "state", "ejection_reason", "priority", "weight")
    list_filter: ClassVar[Any] = (StateFilter, "provider")
    list_select_related = ("provider",)
    search_fields = ("provider__name", "hint")
    fields = (
        "provider",
        "hint",
        "origin",
        "state",
        "is_active",
        "priority",
        "weight",
        "ejected_at",
        "ejection_reason",
        "created_at",
    )

    @admin.display(description="Key", ordering="pk")
    def hinted(self, key: ProviderKey) -> str:
        return f"…{key.hint}"

    @admin.display(description="State")
    def state(self, key: ProviderKey) -> str:
        return state_of(key)
