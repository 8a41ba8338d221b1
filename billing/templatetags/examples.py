"""Code examples: one text per example, the same on every page, and run by the tests as printed."""

from django import template
from django.template import Context, Engine
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

API_KEY_PLACEHOLDER = "YOUR_API_KEY"


@register.simple_tag(takes_context=True)
def example_code(context: Context, example: str, api_key: str = "", model: str = "") -> SafeString:
    """Return <pre><code> with templates/examples/{example}.txt, this site's address filled in."""
    text = _read(context, example, api_key=api_key, model=model)
    # `escape` and not `format_html` alone: the rendered text counts as safe and it isn't HTML.
    return format_html(
        '<pre tabindex="0"><code data-example="{}">{}</code></pre>', example, escape(text)
    )


@register.simple_tag(takes_context=True, name="example")
def fenced_example(context: Context, name: str, language: str, title: str) -> SafeString:
    """Return the example as a block of code in Markdown, for `common.markdown`."""
    # Markdown, which is escaped when it is shown.
    return mark_safe(f"```{language} {name} {title}\n{_read(context, name)}\n```")  # noqa: S308


def _read(context: Context, example: str, *, api_key: str = "", model: str = "") -> str:
    source = Engine.get_default().get_template(f"examples/{example}.txt")
    values = {
        "api_base_url": context["api_base_url"],
        "api_key": api_key or API_KEY_PLACEHOLDER,
        "model": model,
    }
    return source.render(Context(values, autoescape=False)).strip()
