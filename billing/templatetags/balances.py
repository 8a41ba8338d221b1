"""The balance in the header of every page."""

from django import template
from django.template import Context

from accounts.models import Membership
from accounts.teams.roles import Deed, may
from billing.ledger.balances import find_balance
from billing.wallet.commands.figures import Balance

register = template.Library()


@register.simple_tag(takes_context=True)
def header_balance(context: Context) -> Balance | None:
    """Return the balance that the page shows, or the one of the reader's team; None for visitors.

    A page of any kind has a header, so nothing is written for it.
    """
    shown: Balance | None = context.get("balance")
    seat: Membership | None = context.get("seat")
    if shown or not seat or not may(seat, Deed.SEE_BALANCE):
        return shown
    return find_balance(seat.team)
