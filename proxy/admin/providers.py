"""Providers with their keys and routes, on one page."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Count, Q, QuerySet, URLField
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from accounts.desk import columns
from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.fields import NamedRows
from accounts.desk.pages import Tool, link, section
from proxy.admin.accounts import ASK_BALANCE, FETCH_USAGE, ProviderAccountInline, account_of
from proxy.admin.health import show_health
from proxy.admin.imports import SYNC_MODELS
from proxy.admin.keys import state_of
from proxy.admin.pauses import PAUSE, RESUME, StateFilter
from proxy.admin.pauses import state_of as state_of_provider
from proxy.admin.price_imports import IMPORT_PRICES
from proxy.admin.probes import say_probes
from proxy.admin.routes import RULES_WIDGET, RouteForm
from proxy.admin.secrets import SecretForm, refuse_moved_keys
from proxy.admin.trials import CLOSE_CIRCUIT, TEST_PROVIDER
from proxy.admin.usage_reports import COMPARE_USAGE
from proxy.errors import InvalidAddress
from proxy.models import Provider, ProviderKey, Route
from proxy.upstreams.addresses import check_base_url
from proxy.upstreams.providers.balances import say_balance

READ_ONLY = ("probes", "state", "paused_at", "pause_reason", "created_at")


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


class ProviderKeyForm(SecretForm):
    """One of our keys."""

    class Meta:
        model = ProviderKey
        fields = ("priority", "weight", "is_active")


class ProviderKeyFormSet(NamedRows):
    """The keys of a provider. Each must have been entered for the host of its base URL."""

    def clean(self) -> None:
        super().clean()
        refuse_moved_keys(self)


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
        FETCH_USAGE,
        ASK_BALANCE,
        CLOSE_CIRCUIT,
    )
    matters = (StateFilter.matter("Providers paused", "paused"),)
    inlines = (ProviderKeyInline, ProviderAccountInline, RouteInline)
    formfield_overrides: ClassVar[Any] = {URLField: {"assume_scheme": "https"}}
    list_display = (
        *("name", "base_url", "state", "is_active", "active_keys", "active_routes", "left"),
    )
    list_select_related = ("account",)
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
        section(
            "Probes",
            ("probes_per_hour", "probes"),
            description="A tiny request through each route whose model no customer asks for, so"
            " that the status page knows how it does. Its cost is ours.",
        ),
        section("When", "created_at"),
    )
    kept_by = "routes"
    asks_again = True
    links = (
        link("Keys", "proxy_providerkey", provider__id__exact="pk"),
        link("Routes", "proxy_route", provider__id__exact="pk"),
        lambda provider: Tool("Health", f"{reverse('admin:proxy_health')}#{provider.name}"),
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

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Let a provider's keys go with it, for who may delete them on this page anyway.

        Their own page deletes none, which Django would take for a missing right.
        """
        found, counts, needed, protected = super().get_deleted_objects(objs, request)
        if request.user.has_perm("proxy.delete_providerkey"):
            needed.discard(ProviderKey._meta.verbose_name)
        return found, counts, needed, protected

    @admin.display(description="State")
    def state(self, provider: Provider) -> str:
        return state_of_provider(provider)

    @admin.display(description="Left", ordering="account__days_left")
    def left(self, provider: Provider) -> str:
        account = account_of(provider)
        if account is None or not account.has_balance:
            return columns.NOTHING
        text = say_balance(account)
        return columns.state(text, "bad") if account.is_low else text

    @admin.display(description="Cost")
    def probes(self, provider: Provider) -> str:
        return say_probes(provider) if provider.pk else columns.NOTHING

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
