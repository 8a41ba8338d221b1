"""What a deed changed, before → after, in words. No column that holds a secret is ever read."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from django import forms
from django.db.models import BinaryField, Field, ForeignKey, Model

from accounts.audit import Change

# Counts of the machinery's own.
UNTOLD = ("version", "pushed_version")
SECRETS = ("password", "digest", "encrypted", "secret", "session_url")
HIDDEN = "(not shown)"
MOST_CHARS = 200


def snapshot(obj: Model) -> dict[str, str]:
    """Return the present values of an object's columns, as the database has them, in words."""
    present = type(obj)._base_manager.filter(pk=obj.pk).first()
    if present is None:
        return {}
    return {str(each.verbose_name): _column(present, each) for each in _open_columns(present)}


def differences(before: dict[str, str], after: dict[str, str]) -> list[Change]:
    """Return what differs between two snapshots."""
    return [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in dict.fromkeys((*before, *after))
        if before.get(name, "") != after.get(name, "")
    ]


def changes_of_forms(form: Any, formsets: Iterable[Any]) -> list[Change]:
    """Return what a form and the tables below it change."""
    return [
        *_changes_of_form(form),
        *(change for formset in formsets or () for change in _changes_of_rows(formset)),
    ]


def _open_columns(obj: Model) -> Iterator[Field[Any, Any]]:
    for each in obj._meta.concrete_fields:
        is_secret = isinstance(each, BinaryField) or any(part in each.name for part in SECRETS)
        if not (is_secret or each.primary_key or each.name in UNTOLD):
            yield each


def _column(obj: Model, column: Field[Any, Any]) -> str:
    if isinstance(column, ForeignKey):
        return say(getattr(obj, column.attname))
    display = getattr(obj, f"get_{column.name}_display", None)
    return say(display() if display else getattr(obj, column.attname))


def say(value: Any) -> str:
    """Return a value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        return value[:MOST_CHARS]
    if isinstance(value, Iterable) and not isinstance(value, dict):
        return ", ".join(sorted(map(say, value)))[:MOST_CHARS]
    return str(value)[:MOST_CHARS]


def _changes_of_form(form: Any, prefix: str = "") -> Iterator[Change]:
    for name in form.changed_data:
        field = form.fields.get(name)
        label = f"{prefix}{(field.label if field else None) or name.replace('_', ' ')}"
        if field is None or isinstance(field.widget, forms.PasswordInput):
            yield Change(label, HIDDEN, HIDDEN)
        else:
            before = _named(field, form.get_initial_for_field(field, name))
            yield Change(label, before, say(form.cleaned_data.get(name)))


def _changes_of_rows(formset: Any) -> Iterator[Change]:
    kind = formset.model._meta.verbose_name
    for row in getattr(formset, "new_objects", ()):
        yield Change(f"{kind}", "", str(row))
    for row, _ in getattr(formset, "changed_objects", ()):
        [form] = [each for each in formset.forms if each.instance is row]
        yield from _changes_of_form(form, f"{kind} {row}, ")
    for row in getattr(formset, "deleted_objects", ()):
        yield Change(f"{kind}", str(row), "")


def _named(field: forms.Field, value: Any) -> str:
    """Return a field's first value in words; rows that it chose are named, not numbered."""
    if isinstance(field, forms.ModelChoiceField) and value not in (None, ""):
        ids = cast(Sequence[Any], value if isinstance(value, list | tuple) else [value])
        rows = [getattr(each, "pk", each) for each in ids]
        return say(field.queryset.filter(pk__in=rows)) if field.queryset is not None else ""
    return say(value)
