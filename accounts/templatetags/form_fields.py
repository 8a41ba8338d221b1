"""Fields of allauth's forms, as this site shows them."""

from django import template
from django.forms import BoundField

register = template.Library()


@register.filter
def without_placeholder(field: BoundField) -> BoundField:
    """Return a field without its example, which allauth makes a copy of the label above it."""
    field.field.widget.attrs.pop("placeholder", None)
    return field
