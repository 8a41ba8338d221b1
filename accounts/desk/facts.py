"""What is kept as JSON, as a person reads it: a name and its value a line."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.desk.changes import say
from common import money

NOTHING = "–"
# Numbers that name something.
NAMES_IDS = ("id", "_id", "created", "due_by")
MOST_LINES = 100


def lines_of(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield each value within another, in words, by the names that lead to it."""
    match value:
        case dict():
            currency = value.get("currency")
            for key, each in value.items():
                label = ", ".join(filter(None, (name, str(key).replace("_", " "))))
                yield from (
                    [(label, in_words(str(key), each, currency))]
                    if _is_plain(each)
                    else lines_of(each, label)
                )
        case list():
            for number, each in enumerate(value, 1):
                yield from lines_of(each, f"{name} {number}".strip())
        case _:
            yield name, say(value) or NOTHING


def in_words(name: str, value: Any, currency: object = None) -> str:
    """Return one value: an amount with its currency, and no separators in what is a name."""
    if isinstance(value, int) and not isinstance(value, bool):
        if name.endswith("_cents") and isinstance(currency, str):
            return money.price(value, currency)
        if name.endswith(NAMES_IDS):
            return str(value)
    return say(value) or NOTHING


def _is_plain(value: Any) -> bool:
    parts = value if isinstance(value, list) else [value]
    return not any(isinstance(each, dict | list) for each in parts)


def definitions(rows: Iterable[tuple[str, Any]]) -> SafeString:
    """Return names and values as a definition list."""
    shown = format_html_join("", "<div><dt>{}</dt><dd>{}</dd></div>", rows)
    return format_html('<dl class="known">{}</dl>', shown) if shown else SafeString(NOTHING)


def facts(value: Any) -> SafeString:
    """Return what is kept as JSON as a definition list, with the JSON itself behind a summary."""
    rows = list(lines_of(value))[:MOST_LINES]
    if not value or not rows:
        return SafeString(NOTHING)
    return format_html(
        '{}<details><summary>As it is kept</summary><pre tabindex="0">{}</pre></details>',
        definitions(rows),
        json.dumps(value, indent=2, sort_keys=True),
    )
