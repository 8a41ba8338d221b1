"""Code examples: one text per example, the same on every page, and run by the tests as printed."""

from django import template
from django.template import Context, Engine
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString

register = template.Library()

API_KEY_PLACEHOLDER = "YOUR_API_KEY"


@register.simple_tag(takes_context=True)
def example_code(context: Context, example: str, api_key: str = "", model: str = "") -> SafeString:
    """Return <pre><code> with templates/examples/{example}.txt, this site's address filled in."""
    source = Engine.get_default().get_template(f"examples/{example}.txt")
    text = source.render(
        Context(
            {
                "api_base_url": context["api_base_url"],
                "api_key": api_key or API_KEY_PLACEHOLDER,
                "model": model,
            },
            autoescape=False,
        )
    )
    # `escape` and not `format_html` alone: the rendered text counts as safe and it isn't HTML.
    return format_html(
        '<pre tabindex="0"><code data-example="{}">{}</code></pre>', example, escape(text.strip())
    )
