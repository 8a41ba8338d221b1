"""Our accounts at providers: what to ask of them, with which key, and what they said."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.utils import timezone

from accounts.desk.actions import Asked, Preview, ReasonForm, StaffAction
from accounts.desk.fields import NamedRows
from proxy.admin.secrets import SecretForm, refuse_moved_keys
from proxy.admin.usage_reports import show_lines, tell_filed
from proxy.models import Provider, ProviderAccount
from proxy.upstreams.providers.balances import measure_balance, say_balance, say_cost
from proxy.upstreams.providers.usage_sweep import DAYS, fetch_usage

# Those that tell nothing to a key that calls models.
NEED_A_KEY = {ProviderAccount.Shape.OPENAI, ProviderAccount.Shape.OPENROUTER}
MEASURED = ("balance", "currency", "balance_at", "daily_cost", "days_left", "rests_until")


class ProviderAccountForm(SecretForm):
    """What a provider is asked. Without a key of its own, one of the provider's keys asks."""

    needs_secret = False

    class Meta:
        model = ProviderAccount
        fields = ("shape", "project", "alarm_below")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        has_key = bool(cleaned.get("secret") or self.instance.encrypted_secret)
        if cleaned.get("shape") in NEED_A_KEY and not has_key and "secret" not in self.errors:
            self.add_error("secret", "This takes a key of the account's administrators.")
        return cleaned

    def save(self, commit: bool = True) -> ProviderAccount:
        if "shape" in self.changed_data:
            # What another provider's way told is not known of this one.
            for name in MEASURED:
                setattr(self.instance, name, "" if name == "currency" else None)
        account: ProviderAccount = super().save(commit)
        return account


class AccountRows(NamedRows):
    """The one account of a provider, whose key must have been entered for the present host."""

    def clean(self) -> None:
        super().clean()
        refuse_moved_keys(self)


class ProviderAccountInline(admin.StackedInline[ProviderAccount, Provider]):
    """Editable, and deletable: its key may leak as any other."""

    model = ProviderAccount
    form = ProviderAccountForm
    formset = AccountRows
    fields = (("shape", "project"), ("secret", "hint"), "alarm_below", ("left", "cost", "told"))
    readonly_fields = ("hint", "left", "cost", "told")
    extra = 0
    max_num = 1

    @admin.display(description="Left")
    def left(self, account: ProviderAccount) -> str:
        return say_balance(account) if account.has_balance else "not told by this provider"

    @admin.display(description="Costs us at present")
    def cost(self, account: ProviderAccount) -> str:
        return say_cost(account)

    @admin.display(description="Told last")
    def told(self, account: ProviderAccount) -> str:
        at = account.balance_at if account.has_balance else account.usage_at
        return "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"


class DaysForm(ReasonForm):
    """Which days to ask for."""

    first_day = forms.DateField(label="From", widget=forms.DateInput(attrs={"type": "date"}))
    last_day = forms.DateField(
        label="To",
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="Whole days, UTC: yesterday at the latest, and 31 at most.",
    )
    field_order = ("first_day", "last_day", "reason")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first and last and first > last:
            raise ValidationError("The first day is after the last.")
        return cleaned


def last_week(providers: Sequence[Provider]) -> dict[str, Any]:
    yesterday = timezone.now().date() - timedelta(days=1)
    return {"first_day": yesterday - timedelta(days=DAYS - 1), "last_day": yesterday}


def preview_usage(
    request: HttpRequest, providers: Sequence[Provider], answers: dict[str, Any]
) -> Preview:
    if not request.user.has_perm("billing.view_margin"):
        raise PermissionDenied
    account = providers[0].account
    return show_lines(fetch_usage(account, answers["first_day"], answers["last_day"]))


def fetch(asked: Asked[Provider]) -> str:
    answers = asked.answers
    lines = fetch_usage(asked.obj.account, answers["first_day"], answers["last_day"])
    return tell_filed(asked.obj, lines)


def why_no_usage(provider: Provider) -> str:
    account = account_of(provider)
    if account is None or account.has_balance:
        return "No account with OpenAI's usage is entered on its page."
    return ""


def ask_balance(asked: Asked[Provider]) -> str:
    account = asked.obj.account
    measure_balance(account)
    return f"Left: {say_balance(account)}."


def why_no_balance(provider: Provider) -> str:
    account = account_of(provider)
    if account is None or not account.has_balance:
        return "No account that tells a balance is entered on its page."
    return ""


def account_of(provider: Provider) -> ProviderAccount | None:
    """Return what is entered of our account there, if anything is."""
    return getattr(provider, "account", None)


FETCH_USAGE = StaffAction[Provider](
    name="fetch-usage",
    label="Fetch usage",
    explanation="Asks the provider what we used on these days, and compares it with our receipts,"
    " by day and model, as is done every night. What differs beyond the tolerance is filed in the"
    " inbox; Preview shows all.",
    apply=fetch,
    form_class=DaysForm,
    get_initial=last_week,
    refusal=why_no_usage,
    preview=preview_usage,
    is_for_one=True,
    is_atomic=False,
    is_harmless=True,
)
ASK_BALANCE = StaffAction[Provider](
    name="ask-balance",
    label="Ask balance",
    explanation="Asks the provider what is left of our account, as is done every quarter of an"
    " hour.",
    apply=ask_balance,
    refusal=why_no_balance,
    is_for_one=True,
    is_atomic=False,
    is_harmless=True,
)
