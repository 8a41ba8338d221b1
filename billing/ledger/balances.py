"""A wallet's balance as people see it."""

from accounts.models import Membership, Team
from billing.exceptions import WalletMissing, WalletRecovering
from billing.ledger.pushes import push_if_possible
from billing.ledger.wallets import get_wallet
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


def find_wallet(team: Team) -> Wallet | None:
    """Return a team's wallet, read once for a whole page; None if nothing was ever asked of it."""
    found: Wallet | None = getattr(team, "wallet", None)
    return found


def balance_for(seat: Membership) -> Balance:
    """Return the balance of a member's team, read once for a whole page."""
    kept = vars(seat)
    if "balance_of_page" not in kept:
        kept["balance_of_page"] = read_balance(find_wallet(seat.team) or get_wallet(seat.team))
    found: Balance = kept["balance_of_page"]
    return found
