"""A wallet's balance as people see it."""

from accounts.models import Team
from billing.exceptions import WalletMissing, WalletRecovering
from billing.ledger.pushes import push_if_possible
from billing.models import Wallet
from billing.wallet.commands.figures import Balance
from billing.wallet.sync_client import get_sync_client


def read_balance(wallet: Wallet) -> Balance:
    """Return the live balance, or the posted figures with `is_live=False` while Redis is away."""
    try:
        try:
            return get_sync_client().read_balance(wallet.pk)
        except WalletMissing:
            push_if_possible(wallet.pk)
            return get_sync_client().read_balance(wallet.pk)
    except (WalletMissing, WalletRecovering):
        return _posted(wallet)


def find_balance(team: Team) -> Balance | None:
    """Return a team's balance as `read_balance` does, and write nothing; None without a wallet."""
    wallet = Wallet.objects.filter(team=team).first()
    if wallet is None:
        return None
    try:
        return get_sync_client().read_balance(wallet.pk)
    except (WalletMissing, WalletRecovering):
        return _posted(wallet)


def _posted(wallet: Wallet) -> Balance:
    return Balance(
        available_credits=wallet.posted_credits,
        held_credits=0,
        posted_credits=wallet.posted_credits,
        debt_credits=wallet.debt_credits,
        is_live=False,
    )
