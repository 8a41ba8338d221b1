"""What staff write for readers: in English, and in another language where they wrote it there, too.

A field `description` has its German in `description_de`.
"""

from django.db.models import Model
from django.utils.translation import get_language

GERMAN = "What readers of German read instead. Empty: the English."


def in_readers_language(row: Model, field: str) -> tuple[str, str]:
    """Return the text of a row's field, and its language: the reader's, or else English."""
    language = get_language()
    words = getattr(row, f"{field}_{language}", "")
    return (words, language) if words else (getattr(row, field), "en")
