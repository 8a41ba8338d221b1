"""What keys and wallets may do: their own limits, or else the site's."""

from django.conf import settings

from accounts.models import ApiKey
from billing.models import Wallet
from billing.wallet.limits import Allowance, Limits


def limits_of(key: ApiKey, wallet: Wallet) -> Limits:
    """Return the limits that a request with this key has to keep."""
    return Limits(
        key=allowance_of_key(key),
        wallet=allowance_of_wallet(wallet),
        lifetime_cap_credits=key.lifetime_cap_credits,
        monthly_cap_credits=key.monthly_cap_credits,
    )


def allowance_of_key(key: ApiKey) -> Allowance:
    """Return what one key may do at once and in a minute."""
    return Allowance(
        key.requests_per_minute or settings.DEFAULT_REQUESTS_PER_MINUTE,
        key.tokens_per_minute or settings.DEFAULT_TOKENS_PER_MINUTE,
        key.concurrent_requests or settings.DEFAULT_CONCURRENT_REQUESTS,
    )


def allowance_of_wallet(wallet: Wallet) -> Allowance:
    """Return what all keys of a wallet may do together."""
    return Allowance(
        wallet.requests_per_minute or settings.WALLET_REQUESTS_PER_MINUTE,
        wallet.tokens_per_minute or settings.WALLET_TOKENS_PER_MINUTE,
        wallet.concurrent_requests or settings.WALLET_CONCURRENT_REQUESTS,
    )
