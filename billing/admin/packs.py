"""Packs: what is on sale."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest

from accounts.desk import columns
from accounts.desk.fields import NamedRows
from accounts.desk.pages import DeskAdmin, RowForm
from billing.models import Pack, PackPrice
from common.currencies import UNPROVEN_REASON, doubt_of, is_unproven


class PackForm(forms.ModelForm[Pack]):
    class Meta:
        labels: ClassVar = {"price_cents": "Price", "validity_days": "Valid for days"}


class PackListForm(RowForm[Pack]):
    """The fields that are edited in the list, where the currency is not in the form."""

    def clean_is_active(self) -> bool:
        is_active = bool(self.cleaned_data["is_active"])
        if is_active and is_unproven(self.instance.currency):
            raise forms.ValidationError(UNPROVEN_REASON)
        return is_active


class PackPriceForm(forms.ModelForm[PackPrice]):
    """Labels its fields for screen readers, because the table has headings only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["aria-label"] = str(field.label)


class PackPriceInline(admin.TabularInline[PackPrice, Pack]):
    """A pack's prices in other currencies. `sync_packs` sends them to Stripe."""

    model = PackPrice
    form = PackPriceForm
    formset = NamedRows
    extra = 0
    readonly_fields = ("stripe_price_id",)


@admin.register(Pack)
class PackAdmin(DeskAdmin[Pack]):
    """Editable, because staff decide what is sold; an order keeps a snapshot of what was agreed.

    A pack that was ordered is taken off sale, not deleted, because its orders refer to it.
    """

    kept_by = "orders"
    list_display = (
        "name",
        columns.number("credits", "Credits"),
        columns.price("price_cents", "Price"),
        "validity_days",
        "is_active",
        "is_highlighted",
        "order",
    )
    list_editable = ("is_active", "is_highlighted", "order")
    list_filter = ("is_active", "currency")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    form = PackForm
    inlines = (PackPriceInline,)
    readonly_fields = ("stripe_product_id", "stripe_price_id")

    def has_delete_permission(self, request: HttpRequest, obj: Pack | None = None) -> bool:
        """Keep a pack that a promotion names: without it, the promotion would hold for all."""
        if obj is not None and obj.promotions.exists():
            return False
        return super().has_delete_permission(request, obj)

    def get_changelist_form(
        self, request: HttpRequest, **kwargs: Any
    ) -> type[forms.ModelForm[Pack]]:
        kwargs.setdefault("form", PackListForm)
        return super().get_changelist_form(request, **kwargs)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the other prices too, and warn of what nobody has verified."""
        super().save_related(request, form, formsets, change)
        for row in (form.instance, *form.instance.other_prices.all()):
            if doubt := doubt_of(row.currency):
                self.message_user(request, doubt, messages.WARNING)
