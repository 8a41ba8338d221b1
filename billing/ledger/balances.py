"""A wallet's balance as people see it."""

from billing.exceptions import WalletMissing, WalletRecovering
from billing.ledger.pushes import push_if_possible
from billing.models import Wallet
from billing.wallet.commands.figures import Balance
from billing.wallet.sync_client import get_sync_client


def read_balance(wallet: Wallet) -> Balance:
    """Return the live balance, or the posted figures with `is_live=False` while Redis is away."""
    client = get_sync_client()
    try:
        try:
            return client.read_balance(wallet.pk)
        except WalletMissing:
            push_if_possible(wallet.pk)
            return client.read_balance(wallet.pk)
    except (WalletMissing, WalletRecovering):
        return Balance(
            available_credits=wallet.posted_credits,
            held_credits=0,
            posted_credits=wallet.posted_credits,
            debt_credits=wallet.debt_credits,
            is_live=False,
        )
