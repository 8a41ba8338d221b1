"""Choices among hundreds, such as countries or time zones, and pages with many choices."""

from typing import Any

from django import forms
from django.forms.utils import flatatt
from django.utils.html import format_html, format_html_join
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
