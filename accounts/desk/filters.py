"""Filters beside a list whose choices are conditions, not the values of one field."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

Lookups = list[tuple[str, str]]


class ConditionFilter(admin.SimpleListFilter):
    """Offers named conditions; at most one is chosen."""

    conditions: ClassVar[dict[str, tuple[str, Q]]]

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Lookups:
        return [(value, label) for value, (label, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model] | None:
        chosen = self.value()
        # Anything else in the address is a typo or an old link: show everything.
        return queryset.filter(self.conditions[chosen][1]) if chosen in self.conditions else None
