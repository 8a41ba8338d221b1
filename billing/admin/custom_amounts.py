"""Custom amounts: at what rate an amount of the customer's choice is sold."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from accounts.desk import columns
from accounts.desk.fields import NamedRows
from accounts.desk.pages import DeskAdmin
from billing.models import AmountOffer, AmountStep
from common.currencies import doubt_of


class StepForm(forms.ModelForm[AmountStep]):
    """Labels its fields for screen readers, because the table has headings only."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs["aria-label"] = str(field.label)


class StepFormSet(NamedRows):
    """The steps of an offer, each within its bounds and better than the one below."""

    def clean(self) -> None:
        super().clean()
        offer = self.instance
        rows = [form.cleaned_data for form in self.forms if form.is_valid() and form.cleaned_data]
        steps = sorted(
            (row["from_cents"], row["credits_per_unit"]) for row in rows if not row.get("DELETE")
        )
        best = offer.credits_per_unit or 0
        for from_cents, rate in steps:
            if not (offer.least_cents or 0) < from_cents <= (offer.most_cents or 0):
                raise ValidationError("Each step is above the least amount and not above the most.")
            if rate <= best:
                raise ValidationError("Each step gives more credits than the one below it.")
            best = rate


class StepInline(admin.TabularInline[AmountStep, AmountOffer]):
    model = AmountStep
    form = StepForm
    formset = StepFormSet
    extra = 0


@admin.register(AmountOffer)
class AmountOfferAdmin(DeskAdmin[AmountOffer]):
    """Editable, because staff decide what is sold; an order keeps a snapshot of what was agreed."""

    list_display = (
        "currency",
        columns.price("least_cents", "Least"),
        columns.price("most_cents", "Most"),
        columns.number("credits_per_unit", "Credits for one"),
        "validity_days",
        "is_active",
    )
    list_filter = ("is_active",)
    inlines = (StepInline,)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save the steps too, and warn of a currency that nobody has verified."""
        super().save_related(request, form, formsets, change)
        if doubt := doubt_of(form.instance.currency):
            self.message_user(request, doubt, messages.WARNING)
