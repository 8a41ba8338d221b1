"""API keys. Neither the secret, which is not stored, nor its digest is shown."""

from dataclasses import fields, replace
from typing import ClassVar

from django.contrib import admin
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe

from accounts.desk import columns
from accounts.desk.actions import Asked, ReadOnlyWithActions, ReasonForm, StaffAction
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import link
from accounts.models import ApiKey
from billing.keys.api_keys import adjust_api_key, booked_spending, revoke_api_key
from billing.keys.forms import LimitsForm, settings_from
from billing.keys.refusals import find_refusals
from billing.keys.settings import KeySettings
from billing.ledger.wallets import get_wallet


class KeyStateFilter(ConditionFilter):
    title = "state"
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


class KeyLimitsForm(ReasonForm, LimitsForm):
    """What a key may do; staff may allow more than its owner can."""

    field_order = (*LimitsForm.base_fields, "reason")


def limit(asked: Asked[ApiKey]) -> str:
    chosen = settings_from(asked.answers)
    before, after = adjust_api_key(
        asked.obj, lambda now: replace(chosen, expires_at=now.expires_at)
    )
    return describe_change(before, after)


def describe_change(before: KeySettings, after: KeySettings) -> str:
    """Return what changed, as text for the record."""
    changes = [
        f"{field.name.replace('_', ' ')}: {_text(was)} → {_text(now)}"
        for field in fields(KeySettings)
        if (was := getattr(before, field.name)) != (now := getattr(after, field.name))
    ]
    return f"Limits set. {'; '.join(changes) or 'Nothing was different'}."


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(value) or "all"
    return "default" if value is None else str(value)


LIMIT = StaffAction[ApiKey](
    name="limit",
    label="Set limits",
    explanation="Takes effect with the next request. A number that is empty is the site's default,"
    " or no cap.",
    apply=limit,
    form_class=KeyLimitsForm,
    get_options=lambda key: {"key": key},
    is_for_one=True,
    asks_again=True,
    refusal=lambda key: "It is revoked." if key.revoked_at else "",
)
REVOKE = StaffAction[ApiKey](
    name="revoke",
    label="Revoke",
    explanation="The key stops working at once and for good. Its owner can make another.",
    apply=revoke,
    permission="accounts.revoke_apikey",
    refusal=lambda key: "It is revoked already." if key.revoked_at else "",
)


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyWithActions[ApiKey]):
    staff_actions = (LIMIT, REVOKE)
    # The newest first, by an index: by the instant, all keys would be read and sorted.
    ordering = ("-pk",)
    fields = (
        "team",
        "created_by",
        "name",
        "hint",
        "state",
        "spent",
        "refused",
        "requests_per_minute",
        "tokens_per_minute",
        "concurrent_requests",
        "lifetime_cap_credits",
        "monthly_cap_credits",
        "allowed_models",
        "allowed_networks",
        "previous_hint",
        "previous_expires_at",
        "created_at",
        "last_used_at",
        "expires_at",
        "paused_at",
        "revoked_at",
    )
    list_display = (
        "name",
        "team",
        "created_by",
        "hint",
        "state",
        "created_at",
        "last_used_at",
        "expires_at",
    )
    list_select_related = ("team__person", "created_by")
    list_filter: ClassVar = (KeyStateFilter,)
    date_hierarchy = "created_at"
    search_fields = ("name", "hint", "team__memberships__user__email")
    links = (link("Usage", "billing_usagerecord", api_key__id__exact="pk"),)

    @admin.display(description="State")
    def state(self, key: ApiKey) -> str:
        if key.paused_at and key.is_usable(timezone.now()):
            return columns.state("paused", "waiting")
        if key.is_usable(timezone.now()):
            return columns.state("usable", "good")
        return columns.state("revoked" if key.revoked_at else "expired", "quiet")

    @admin.display(description="Spent, this month and in all")
    def spent(self, key: ApiKey) -> str:
        total, this_month = booked_spending(key.team).get(key.pk, (0, 0))
        return f"{this_month:,} and {total:,} credits"

    @admin.display(description="Refused in seven days")
    def refused(self, key: ApiKey) -> str:
        """Say what of the key's requests left no receipt; revoked keys may be asked with still."""
        found = find_refusals(get_wallet(key.team).pk)
        if found is None:
            return "Redis is away, so nothing is known now."
        lines = [
            f"{each.count:,} × {each.refusal.status} {each.words},"
            f" last {each.last_at:%Y-%m-%d %H:%M:%S} UTC"
            for each in found
            if each.refusal.api_key_id == key.pk
        ]
        return format_html_join(mark_safe("<br>"), "{}", ([line] for line in lines)) or "none"
