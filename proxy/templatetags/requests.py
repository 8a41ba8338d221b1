"""What the documentation prints of the tables by which requests are read."""

from django import template

from proxy.parsing.endpoints import OUT_OF_SCOPE
from proxy.parsing.extras import DEFAULT_EXTRAS
from proxy.parsing.treatment import TREATMENTS, Row

register = template.Library()


@register.simple_tag
def treated_fields() -> tuple[Row, ...]:
    """Return what becomes of the fields that do not pass as they came."""
    return TREATMENTS


@register.simple_tag
def default_extras() -> tuple[str, ...]:
    """Return the fields beyond OpenAI's that pass unless staff say otherwise."""
    return DEFAULT_EXTRAS


@register.simple_tag
def out_of_scope() -> list[tuple[str, str]]:
    """Return the paths of other services that are not offered, and what they are for."""
    return list(OUT_OF_SCOPE.items())
