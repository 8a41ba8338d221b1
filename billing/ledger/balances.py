"""A wallet's balance as people see it."""

from accounts.models import Team
from billing.exceptions import WalletMissing, WalletRecovering
from billing.models import Wallet
from billing.wallet.commands.figures import Balance
from billing.wallet.sync_client import get_sync_client


def read_balance(wallet: Wallet) -> Balance:
    """Return the live balance, or the posted figures with `is_live=False` while Redis is away.

    Of a wallet that is not loaded into Redis, the posted figures are the live ones.
    """
    try:
        return get_sync_client().read_balance(wallet.pk)
    except WalletMissing:
        # Read after the answer: what Redis had decided before it was lost is booked by now.
        return _posted(Wallet.objects.get(pk=wallet.pk), is_live=True)
    except WalletRecovering:
        return _posted(wallet, is_live=False)


def find_balance(team: Team) -> Balance | None:
    """Return a team's balance as `read_balance` does; None without a wallet."""
    wallet = Wallet.objects.filter(team=team).first()
    return read_balance(wallet) if wallet else None


def _posted(wallet: Wallet, *, is_live: bool) -> Balance:
    return Balance(
        available_credits=wallet.posted_credits,
        held_credits=0,
        posted_credits=wallet.posted_credits,
        debt_credits=wallet.debt_credits,
        is_live=is_live,
    )
