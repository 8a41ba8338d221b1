"""What pages say of the customer's address."""

from typing import Any

from django import template

from accounts.addresses import is_confirmed
from accounts.models import User

register = template.Library()


@register.inclusion_tag("account/_unconfirmed.html", takes_context=True)
def ask_for_confirmation(context: dict[str, Any]) -> dict[str, Any]:
    """Ask for the confirmation of the customer's address until it is done."""
    user = context.get("user")
    is_open = isinstance(user, User) and not is_confirmed(user)
    return {"email": user.email if user and is_open else "", "csrf_token": context["csrf_token"]}
