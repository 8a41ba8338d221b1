"""Public models and their prices."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from accounts.desk import columns
from accounts.desk.actions import Asked, ReasonForm, StaffAction, StaffActionsAdmin
from accounts.desk.pages import ReadOnlyAdmin, link
from billing.catalogue.model_prices import set_price
from billing.catalogue.pricing import MILLICREDITS
from billing.models import ModelPrice, PublicModel
from billing.token_classes import CLASSES

RATES = {each.price_rate: each for each in CLASSES if each.has_own_rate}
# An empty rate is that of the class which this one is a part of.
CLASS_RATES = {each.price_rate: each for each in CLASSES if not each.has_own_rate}
CACHED = "cached_prompt_rate_millicredits"
HELP = {
    CACHED: "At most the prompt's rate.",
    "completion_rate_millicredits": (
        "All in millicredits per token: 1000 is one credit for each token."
    ),
}
RATE_COLUMNS = (
    columns.number("prompt_rate_millicredits", "Prompt"),
    columns.number(CACHED, "Cached"),
    columns.number("completion_rate_millicredits", "Completion"),
)
# A thousand credits per token.
MOST_MILLICREDITS = 1_000 * MILLICREDITS


class PriceForm(ReasonForm):
    """The rates of a price's next version."""

    field_order = (*RATES, *CLASS_RATES, "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, each in (RATES | CLASS_RATES).items():
            self.fields[name] = forms.IntegerField(
                label=each.label,
                min_value=0,
                max_value=MOST_MILLICREDITS,
                required=each.has_own_rate,
                help_text=HELP.get(name, f"Empty: as much as {each.parent}."),
            )
        self.order_fields(self.field_order)

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        prompt, cached = cleaned.get("prompt_rate_millicredits"), cleaned.get(CACHED)
        if prompt is not None and cached is not None and cached > prompt:
            self.add_error(CACHED, "A cached prompt token can't cost more than a prompt token.")
        return cleaned


def find_current_rates(models: Sequence[PublicModel]) -> dict[str, Any]:
    """Return the rates in force as initial values, if a single model is priced."""
    price = models[0].prices.first() if len(models) == 1 else None
    return {rate: getattr(price, rate) for rate in (*RATES, *CLASS_RATES)} if price else {}


def add_version(asked: Asked[PublicModel]) -> str:
    price = set_price(asked.obj, **{rate: asked.answers[rate] for rate in (*RATES, *CLASS_RATES)})
    prompt, cached, completion = (f"{asked.answers[rate]:,}" for rate in RATES)
    return (
        f"Price version {price.version}: prompt {prompt}, cached {cached},"
        f" completion {completion} millicredits per token."
        + "".join(
            f" {each.label}: {asked.answers[rate]:,}."
            for rate, each in CLASS_RATES.items()
            if asked.answers[rate] is not None
        )
    )


SET_PRICE = StaffAction[PublicModel](
    name="set-price",
    label="Set price",
    explanation="Adds a version. Requests that were admitted before keep the price they saw.",
    permission="billing.add_modelprice",
    apply=add_version,
    form_class=PriceForm,
    get_initial=find_current_rates,
)


@admin.register(PublicModel)
class PublicModelAdmin(StaffActionsAdmin[PublicModel]):
    """Editable, because staff maintain the catalogue. The name can't change, because customers'
    programs send it; a priced model is switched off, not deleted, because receipts need it.
    """

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
        "owned_by",
        "default_max_tokens",
        "has_default_temperature",
        "context_tokens",
        "tokens_per_100_bytes",
        "is_reasoning",
        "is_active",
        "order",
        "created_at",
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PublicModel]:
        """Add the current rates to each row in the same query."""
        current = ModelPrice.objects.filter(model=OuterRef("pk")).order_by("-version")
        rates = {rate: Subquery(current.values(rate)[:1]) for rate in RATES}
        return super().get_queryset(request).annotate(**rates)

    def get_readonly_fields(
        self, request: HttpRequest, obj: PublicModel | None = None
    ) -> tuple[str, ...]:
        return ("name", "created_at") if obj else ("created_at",)


@admin.register(ModelPrice)
class ModelPriceAdmin(ReadOnlyAdmin[ModelPrice]):
    """A price is never edited: "Set price" on its model adds a version."""

    list_display = ("model", "version", *RATE_COLUMNS, "created_at")
    list_select_related = ("model",)
    date_hierarchy = "created_at"
    search_fields = ("model__name",)
