"""Choices among hundreds, such as countries or time zones, and pages with many choices."""

from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import conditional_escape, escape, format_html, format_html_join
from django.utils.safestring import SafeString


class LongSelect(forms.Select):
    """A select without groups that is rendered at once.

    Django renders each choice by a template of its own, which takes most of a page's time.
    """

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        widget = self.get_context(name, value, attrs)["widget"]
        options = (
            (flatatt({**option["attrs"], "value": str(option["value"])}), option["label"])
            for _, group, _ in widget["optgroups"]
            for option in group
        )
        return format_html(
            "<select{}>{}</select>",
            flatatt({**widget["attrs"], "name": widget["name"]}),
            format_html_join("\n", "<option{}>{}</option>", options),
        )


class LongCheckboxes(forms.CheckboxSelectMultiple):
    """Checkboxes without groups that are rendered at once, for the same reason."""

    def render(
        self, name: str, value: Any, attrs: dict[str, Any] | None = None, renderer: Any = None
    ) -> SafeString:
        widget = self.get_context(name, value, attrs)["widget"]
        options = [option for _, group, _ in widget["optgroups"] for option in group]
        # They differ in their ids, and in which are checked.
        shared = {**options[0]["attrs"], "id": None, "checked": None} if options else {}
        alike = f' name="{escape(name)}"{flatatt(shared)}'
        return format_html(
            "<div{}>{}</div>",
            flatatt({each: widget["attrs"].get(each) for each in ("id", "class")}),
            SafeString("\n".join(self._box(option, alike) for option in options)),
        )

    @staticmethod
    def _box(option: dict[str, Any], alike: str) -> str:
        given, value = option["attrs"].get("id"), escape(option["value"])
        own, of = (
            ("", "") if given is None else (f' id="{escape(given)}"', f' for="{escape(given)}"')
        )
        checked = " checked" if option["selected"] else ""
        return (
            f'<div><label{of}><input type="checkbox"{alike} value="{value}"{own}{checked}>'
            f" {conditional_escape(option['label'])}</label></div>"
        )
