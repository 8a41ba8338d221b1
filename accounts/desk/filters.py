"""Filters beside a list whose choices are conditions, not the values of one field."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.core.cache import cache
from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest

from accounts.desk.pages import Matter

Lookups = list[tuple[str, str]]


class ConditionFilter(admin.SimpleListFilter):
    """Offers named conditions; at most one is chosen. In an address it is called by its title."""

    title: str
    conditions: ClassVar[dict[str, tuple[str, Q]]]

    def __init_subclass__(cls) -> None:
        cls.parameter_name = cls.parameter_name or cls.title

    @classmethod
    def matter(cls, label: str, value: str) -> Matter:
        """Return the matter of the rows that one of the conditions holds for."""
        return Matter(label, f"{cls.parameter_name}={value}", cls.conditions[value][1])

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> Lookups:
        return [(value, label) for value, (label, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Model]) -> QuerySet[Model] | None:
        chosen = self.value()
        # Anything else in the address is a typo or an old link: show everything.
        return queryset.filter(self.conditions[chosen][1]) if chosen in self.conditions else None


class KeptValuesFilter(admin.AllValuesFieldListFilter):
    """Offers the values that a column has. Every row is read for them, so they are kept a while."""

    kept_s = 300

    def __init__(self, field: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(field, *args, **kwargs)
        name = f"values:{field.model._meta.label_lower}:{field.name}"
        found = self.lookup_choices
        kept: Any = cache.get_or_set(name, lambda: list(found), self.kept_s)
        self.lookup_choices = kept
