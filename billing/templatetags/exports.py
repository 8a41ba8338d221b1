"""The link above a list of the desk that can be exported."""

from typing import Any

from django import template
from django.template import Context

from billing.desk.exports import start_url

register = template.Library()


@register.simple_tag(takes_context=True)
def export_link(context: Context) -> str:
    """Return where the list of a page is exported with its filters; nothing for who may not."""
    request: Any = context["request"]
    return start_url(request.user, context["cl"].opts.label_lower, request.GET.urlencode())
