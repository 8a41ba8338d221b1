"""The balance in the header of every page."""

from django import template

from accounts.models import Membership
from accounts.teams.roles import Deed, may
from billing.ledger.balances import balance_for, find_wallet
from billing.wallet.commands.figures import Balance

register = template.Library()


@register.simple_tag
def header_balance(seat: Membership | None) -> Balance | None:
    """Return the balance of a reader's team; None for visitors, and where there is no wallet yet:
    to show a page must not make one.
    """
    if not (seat and may(seat, Deed.SEE_BALANCE) and find_wallet(seat.team)):
        return None
    return balance_for(seat)
