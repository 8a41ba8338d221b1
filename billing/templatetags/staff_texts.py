"""What staff wrote, in the reader's language where there is one: its words, and its language."""

from django import template
from django.db.models import Model

from common.staff_texts import in_readers_language

register = template.Library()


@register.filter
def words_of(row: Model, field: str) -> str:
    """Return the text of a row's field as its reader reads it best."""
    return in_readers_language(row, field)[0]


@register.filter
def language_of(row: Model, field: str) -> str:
    """Return the language of these words, for their `lang`: a screen reader speaks them in it."""
    return in_readers_language(row, field)[1]
