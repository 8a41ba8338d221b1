"""Names of fields for whoever hears a page: those in tables have no label beside them."""

from typing import Any

from django import forms


def name_fields(form: Any) -> None:
    """Name every field of a form in a table."""
    for name, field in form.fields.items():
        field.label = field.label or name.replace("_", " ").capitalize()
        # Django's admin wraps widgets that choose rows.
        widget = getattr(field.widget, "widget", field.widget)
        if isinstance(field, forms.SplitDateTimeField):
            name_parts(field)
        else:
            widget.attrs.setdefault("aria-label", str(field.label))


def name_parts(field: forms.SplitDateTimeField) -> None:
    """Name the date and the time of an instant, which share a label."""
    for part, what in zip(field.widget.widgets, ("date", "time"), strict=True):
        part.attrs.setdefault("aria-label", f"{field.label}, {what}")


class NamedRows(forms.BaseInlineFormSet[Any, Any, Any]):
    """The rows of a table below a form."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        name_fields(form)
