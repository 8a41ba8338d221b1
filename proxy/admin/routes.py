"""Routes of models to providers."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import Q

from accounts.desk import columns
from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.filters import ConditionFilter
from accounts.desk.pages import section
from proxy.admin.trials import CLOSE_CIRCUIT, TEST_ROUTE
from proxy.models import Route
from proxy.parsing.endpoints import ENDPOINTS

RULES_WIDGET = forms.Textarea(attrs={"rows": 3, "class": "vLargeTextField"})


class RouteForm(forms.ModelForm[Route]):
    """A route, whose endpoints are check boxes."""

    endpoints = forms.MultipleChoiceField(
        choices=[(name, name) for name in ENDPOINTS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="What it serves; nothing ticked means everything.",
    )

    class Meta:
        widgets: ClassVar = {"parameter_rules": RULES_WIDGET}


class ListedFilter(ConditionFilter):
    title = "listed by the provider"
    parameter_name = "listed"
    conditions = {
        "yes": ("Listed", Q(vanished_at=None)),
        "vanished": ("Vanished", Q(vanished_at__isnull=False)),
    }


@admin.register(Route)
class RouteAdmin(StaffActionsAdmin[Route]):
    """Editable, because routing is staff's work."""

    form = RouteForm
    staff_actions = (TEST_ROUTE, CLOSE_CIRCUIT)
    list_display = (
        "model",
        "provider",
        "upstream_model",
        "listed",
        "priority",
        "weight",
        "is_active",
    )
    list_editable = ("priority", "weight", "is_active")
    list_select_related = ("model", "provider")
    list_filter: ClassVar[Any] = ("is_active", ListedFilter, "provider")
    search_fields = ("model__name", "upstream_model", "provider__name")
    autocomplete_fields = ("model", "provider")
    readonly_fields = ("vanished_at",)
    fieldsets: ClassVar[Any] = (
        section(
            None,
            ("model", "provider"),
            "upstream_model",
            ("priority", "weight"),
            "is_active",
            "vanished_at",
        ),
        section("Capabilities", "endpoints", "parameter_rules", "reasoning_beyond_maximum"),
        section(
            "What we pay",
            ("prompt_cost_micros", "cached_prompt_cost_micros", "completion_cost_micros"),
            description="In millionths of the currency per million tokens: 0.15 per million is"
            " 150000. Leave empty what is not known.",
        ),
    )

    @admin.display(description="Listed", ordering="vanished_at")
    def listed(self, route: Route) -> str:
        if route.vanished_at is None:
            return columns.NOTHING
        return columns.state("vanished", "waiting")
