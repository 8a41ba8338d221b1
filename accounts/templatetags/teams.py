"""What a member may see and do, for templates: `{% if seat|may:"BUY" %}`."""

from django import template

from accounts.models import Membership
from accounts.teams import members, roles

register = template.Library()


@register.filter
def may(seat: Membership | None, deed: str) -> bool:
    """Tell whether a member may do this; False for visitors."""
    return bool(seat) and roles.may(seat, roles.Deed[deed])  # type: ignore[arg-type]


@register.filter
def is_alone(seat: Membership | None) -> bool:
    """Tell whether a reader is the only member of their own team, and sees no team words."""
    return bool(seat) and members.is_alone(seat.team)  # type: ignore[union-attr]
