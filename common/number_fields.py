"""Form fields for numbers as people write them: 5000000, 5,000,000 or 5 000 000.

Which of comma and point stands between groups is a matter of the reader's language; groups are of
three digits and set apart by one and the same character, so that no misplaced one is guessed at.
"""

import re
from decimal import Decimal
from typing import Any

from django import forms
from django.utils.formats import get_format, number_format

# Apart from the language's own: space, no-break and thin spaces, apostrophes.
SEPARATORS = " \u00a0\u2009\u202f'\u2019"
# A whole number may not be taken for a fraction, nor the other way round.
FOREIGN_GROUPS = re.compile(r"[+-]?[0-9]{1,3}(?:[.,][0-9]{3})+")


def ungroup(text: str) -> str:
    """Return a number without its groups and with a decimal point; other text as it is."""
    groups = re.escape(f"{SEPARATORS}{get_format('THOUSAND_SEPARATOR')}")
    point = re.escape(str(get_format("DECIMAL_SEPARATOR")))
    found = re.fullmatch(
        rf"([+-]?)([0-9]+|[0-9]{{1,3}}([{groups}])[0-9]{{3}}(?:\3[0-9]{{3}})*)(?:{point}([0-9]+))?",
        text.strip(),
    )
    if found is None:
        return text
    sign, whole, separator, fraction = found.groups()
    digits = whole.replace(separator, "") if separator else whole
    return f"{sign}{digits}.{fraction}" if fraction else f"{sign}{digits}"


class WholeNumberField(forms.IntegerField):
    """A whole number, typed with or without groups and shown with them."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> int | None:
        """Return the number. Raises ValidationError."""
        if isinstance(value, str):
            value = ungroup(value)
            if FOREIGN_GROUPS.fullmatch(value.strip()):
                raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        """Return a number in groups; what was typed, as it was typed."""
        return number_format(value, force_grouping=True) if isinstance(value, int) else value

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "numeric"}


class AmountField(forms.DecimalField):
    """An amount of money, typed with or without groups."""

    widget = forms.TextInput

    def clean(self, value: Any) -> Decimal | None:
        """Return the number. Raises ValidationError."""
        cleaned: Decimal | None = super().clean(ungroup(value) if isinstance(value, str) else value)
        return cleaned

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal"}
