"""The balance in the header of every page."""

from django import template

from accounts.models import Membership
from accounts.teams.roles import Deed, may
from billing.ledger.balances import balance_for
from billing.wallet.commands.figures import Balance

register = template.Library()


@register.simple_tag
def header_balance(seat: Membership | None) -> Balance | None:
    """Return the balance of a reader's team; None for visitors."""
    return balance_for(seat) if seat and may(seat, Deed.SEE_BALANCE) else None
