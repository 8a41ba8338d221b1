"""Providers with their keys and routes, on one page."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet, URLField
from django.http import HttpRequest
from django.urls import URLPattern, path

from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.fields import NamedRows
from accounts.desk.pages import link, section
from proxy.admin.health import show_health
from proxy.admin.imports import SYNC_MODELS
from proxy.admin.keys import state_of
from proxy.admin.pauses import PAUSE, RESUME, StateFilter
from proxy.admin.pauses import state_of as state_of_provider
from proxy.admin.price_imports import IMPORT_PRICES
from proxy.admin.routes import RULES_WIDGET, RouteForm
from proxy.admin.trials import CLOSE_CIRCUIT, TEST_PROVIDER
from proxy.admin.usage_reports import COMPARE_USAGE
from proxy.errors import InvalidAddress
from proxy.models import Provider, ProviderKey, Route
from proxy.parsing.origins import origin_of
from proxy.upstreams.addresses import check_base_url
from proxy.upstreams.providers.setup import enter_secret

READ_ONLY = ("state", "paused_at", "pause_reason", "created_at")


class ProviderForm(forms.ModelForm[Provider]):
    """A provider, whose address is checked as strictly as `add_provider` does."""

    class Meta:
        widgets: ClassVar = dict.fromkeys(
            ("parameter_rules", "request_extras", "answer_fields"), RULES_WIDGET
        )
        labels: ClassVar = {
            "base_url": "Base URL",
            "connect_timeout_s": "Connect",
            "first_byte_timeout_s": "First byte",
            "idle_timeout_s": "Silence",
            "total_timeout_s": "All in all",
        }

    def clean_base_url(self) -> str:
        try:
            return check_base_url(self.cleaned_data["base_url"])
        except InvalidAddress as refusal:
            raise ValidationError(str(refusal)) from refusal


class ProviderKeyForm(forms.ModelForm[ProviderKey]):
    """One of our keys: written, never read back. Only the hint is shown afterwards."""

    secret = forms.CharField(
        label="Key",
        max_length=400,
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted. Leave empty to keep the present one.",
    )

    class Meta:
        model = ProviderKey
        fields = ("priority", "weight", "is_active")

    def has_changed(self) -> bool:
        """Count an added row as changed even if it is empty, so that validation refuses it."""
        return self.instance.pk is None or super().has_changed()

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"].strip()
        if not secret and self.instance.pk is None:
            raise ValidationError("A new key needs its text.")
        if not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValidationError("A key has neither spaces nor anything beyond plain ASCII.")
        return secret

    def save(self, commit: bool = True) -> ProviderKey:
        if self.cleaned_data["secret"]:
            enter_secret(self.instance, self.cleaned_data["secret"])
        return super().save(commit)


class ProviderKeyFormSet(NamedRows):
    """The keys of a provider. Each must have been entered for the host of its base URL."""

    def clean(self) -> None:
        """Ask again for each key that was entered for a host other than the provider's.

        Otherwise a person who may edit the base URL could have the keys sent to their own server.
        """
        super().clean()
        for form in self.initial_forms:
            if form in self.deleted_forms or not hasattr(form, "cleaned_data"):
                continue
            if not form.cleaned_data.get("secret") and not form.instance.is_for(
                self.instance.base_url
            ):
                form.add_error(
                    "secret",
                    f"This key was entered for {form.instance.origin}. Enter it again for"
                    f" {origin_of(self.instance.base_url)}, or delete it.",
                )


class ProviderKeyInline(admin.TabularInline[ProviderKey, Provider]):
    """Editable, and deletable, because a key that leaked must go at once."""

    model = ProviderKey
    form = ProviderKeyForm
    formset = ProviderKeyFormSet
    fields = ("secret", "hint", "state", "priority", "weight", "is_active", "created_at")
    readonly_fields = ("hint", "state", "created_at")
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderKey]:
        return super().get_queryset(request).select_related("provider")

    @admin.display(description="State")
    def state(self, key: ProviderKey) -> str:
        return state_of(key) if key.pk else ""


class RouteInline(admin.TabularInline[Route, Provider]):
    """The main fields of each route; the route's own page has the rest."""

    model = Route
    form = RouteForm
    formset = NamedRows
    fields = ("model", "upstream_model", "priority", "weight", "is_active")
    autocomplete_fields = ("model",)
    show_change_link = True
    extra = 0


@admin.register(Provider)
class ProviderAdmin(StaffActionsAdmin[Provider]):
    """Editable, because routing is staff's work. Receipts keep a provider's name as text, so a
    provider without routes may be deleted; one that has routes can be switched off.
    """

    form = ProviderForm
    staff_actions = (
        PAUSE,
        RESUME,
        TEST_PROVIDER,
        SYNC_MODELS,
        IMPORT_PRICES,
        COMPARE_USAGE,
        CLOSE_CIRCUIT,
    )
    matters = (StateFilter.matter("Providers paused", "paused"),)
    inlines = (ProviderKeyInline, RouteInline)
    formfield_overrides: ClassVar[Any] = {URLField: {"assume_scheme": "https"}}
    list_display = ("name", "base_url", "state", "is_active", "active_keys", "active_routes")
    list_editable = ("is_active",)
    list_filter = (StateFilter,)
    search_fields = ("name", "base_url")
    fieldsets: ClassVar[Any] = (
        section(
            None,
            "name",
            "base_url",
            ("is_active", "is_named"),
            ("state", "paused_at", "pause_reason"),
        ),
        section(
            "Capabilities",
            "bills_after_cancel",
            "reports_usage",
            "parameter_rules",
            "answer_fields",
        ),
        section(
            "What it is sent",
            "request_extras",
            "customer_mark",
            "salts_caches",
            "takes_data_urls_only",
        ),
        section(
            "Time-outs, in seconds",
            ("connect_timeout_s", "first_byte_timeout_s"),
            ("idle_timeout_s", "total_timeout_s"),
        ),
        section("When", "created_at"),
    )
    kept_by = "routes"
    asks_again = True
    links = (
        link("Keys", "proxy_providerkey", provider__id__exact="pk"),
        link("Routes", "proxy_route", provider__id__exact="pk"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        """Count keys and routes in the same query."""
        return (
            super()
            .get_queryset(request)
            .annotate(
                key_count=Count("keys", filter=Q(keys__is_active=True), distinct=True),
                route_count=Count("routes", filter=Q(routes__is_active=True), distinct=True),
            )
        )

    @admin.display(description="State")
    def state(self, provider: Provider) -> str:
        return state_of_provider(provider)

    @admin.display(description="Active keys", ordering="key_count")
    def active_keys(self, provider: Any) -> int:
        return int(provider.key_count)

    @admin.display(description="Active routes", ordering="route_count")
    def active_routes(self, provider: Any) -> int:
        return int(provider.route_count)

    def get_readonly_fields(
        self, request: HttpRequest, obj: Provider | None = None
    ) -> tuple[str, ...]:
        """Let only staff who may edit keys edit the base URL: a new host needs its keys again."""
        if obj is None or request.user.has_perm("proxy.change_providerkey"):
            return READ_ONLY
        return ("base_url", *READ_ONLY)

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        """Label the check boxes of the list, which Django leaves without a label."""
        switch = forms.CheckboxInput(attrs={"aria-label": "Is active"})
        return super().get_changelist_form(request, widgets={"is_active": switch}, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        health = self.admin_site.admin_view(show_health)
        return [path("health/", health, name="proxy_health"), *super().get_urls()]
