"""Public models: their fields here, their prices in `prices.py`."""

from django import forms
from django.contrib import admin
from django.db.models import QuerySet, Subquery
from django.http import HttpRequest

from accounts.desk.actions import StaffActionsAdmin
from accounts.desk.pages import link
from billing.admin.prices import RATE_COLUMNS, RATES, SET_PRICE
from billing.catalogue.model_prices import in_force_of
from billing.models import PublicModel
from billing.models.catalogue import ABILITIES


class ModelForm(forms.ModelForm[PublicModel]):
    """A model, whose abilities are check boxes."""

    abilities = forms.MultipleChoiceField(
        choices=list(ABILITIES.items()),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="By which customers find it; nothing ticked means: as its providers' names tell,"
        " for the models of OpenAI.",
    )


@admin.register(PublicModel)
class PublicModelAdmin(StaffActionsAdmin[PublicModel]):
    """Editable, because staff maintain the catalogue. The name can't change, because customers'
    programs send it; a priced model is switched off, not deleted, because receipts need it.
    """

    form = ModelForm
    staff_actions = (SET_PRICE,)
    kept_by = "prices"
    links = (
        link("Prices", "billing_modelprice", model__id__exact="pk"),
        link("Routes", "proxy_route", model__id__exact="pk"),
        link("Usage", "billing_usagerecord", model="name"),
    )
    list_display = ("name", "display_name", *RATE_COLUMNS, "is_active", "order")
    list_editable = ("is_active", "order")
    list_filter = ("is_active",)
    search_fields = ("name", "display_name")
    fields = (
        "name",
        "display_name",
        "description",
        "description_de",
        "owned_by",
        "default_max_tokens",
        "has_default_temperature",
        "context_tokens",
        "tokens_per_100_bytes",
        "is_reasoning",
        "abilities",
        "is_active",
        "order",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PublicModel]:
        """Add the current rates to each row in the same query."""
        rates = {rate: Subquery(in_force_of("pk").values(rate)[:1]) for rate in RATES}
        return super().get_queryset(request).annotate(**rates)

    def get_readonly_fields(
        self, request: HttpRequest, obj: PublicModel | None = None
    ) -> tuple[str, ...]:
        return ("name", "created_at") if obj else ("created_at",)
