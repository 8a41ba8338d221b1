"""The balance below which a customer wants a mail: a credit that lifts the balance to it arms it.

The ledger arms the notice, because each credit must do so in its own transaction. The mail itself
is written by `billing.notices.low_balance`, which disarms the notice. A webhook has a threshold,
too.
"""

from django.db.models import Q

from accounts.teams.members import members_who
from accounts.teams.roles import Deed
from billing.models import LedgerEntry, NotificationSettings, Wallet, Webhook


def arm_threshold(wallet: Wallet, entry: LedgerEntry) -> None:
    """Arm the notice if this credit lifted a locked wallet to the threshold. Safe to repeat."""
    for user in members_who(wallet.team, Deed.GET_MONEY_MAIL):
        NotificationSettings.objects.get_or_create(team=wallet.team, user=user)
    reached = Q(team=wallet.team, armed_by=None, low_balance_credits__lte=wallet.posted_credits)
    NotificationSettings.objects.filter(reached).update(armed_by=entry)
    Webhook.objects.filter(reached).update(armed_by=entry)
