"""Incidents: what staff tell customers of trouble."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import ManyToManyField
from django.http import HttpRequest

from accounts.desk.pages import DeskAdmin
from proxy.incidents import publish
from proxy.models import Incident, IncidentUpdate


class UpdateInline(admin.StackedInline[IncidentUpdate, Incident]):
    """What was said stays as it was said; the next update corrects it."""

    model = IncidentUpdate
    fields = ("state", "text", "text_de")
    extra = 1

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Incident)
class IncidentAdmin(DeskAdmin[Incident]):
    """Editable, because staff write it. Each save with an update's text publishes that update."""

    list_display = ("title", "impact", "started_at", "resolved_at")
    list_filter = ("impact",)
    search_fields = ("title",)
    fields = ("title", "title_de", "impact", "affected", "started_at", "resolved_at")
    formfield_overrides: ClassVar[Any] = {ManyToManyField: {"widget": forms.CheckboxSelectMultiple}}
    inlines: ClassVar[Any] = (UpdateInline,)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Publish what was said, in the transaction that saves it."""
        super().save_related(request, form, formsets, change)
        said = [update for formset in formsets for update in formset.new_objects]
        was_over = change and form.initial.get("resolved_at") is not None
        publish(form.instance, said=said, is_new=not change, was_over=was_over)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        """Note who said it, and end the incident with an update that says so."""
        for update in formset.save(commit=False):
            update.said_by = request.user
            update.save()
            if update.state == IncidentUpdate.State.OVER:
                Incident.objects.filter(pk=update.incident_id, resolved_at=None).update(
                    resolved_at=update.said_at
                )
        formset.save_m2m()
