"""What keys and wallets may do: their own limits, or the site's where they have none."""

from django.conf import settings

from accounts.models import ApiKey
from billing.ledger.member_spending import caps_of_member
from billing.models import Wallet
from billing.wallet.limits import Allowance, Limits


def limits_of(key: ApiKey, wallet: Wallet) -> Limits:
    """Return the limits for a request with this key."""
    return Limits(
        key=allowance_of_key(key),
        wallet=allowance_of_wallet(wallet),
        lifetime_cap_credits=key.lifetime_cap_credits,
        monthly_cap_credits=key.monthly_cap_credits,
        member_caps=caps_of_member(key),
    )


def allowance_of_key(key: ApiKey) -> Allowance:
    """Return one key's limits per minute and at once."""
    return Allowance(
        key.requests_per_minute or settings.DEFAULT_REQUESTS_PER_MINUTE,
        key.tokens_per_minute or settings.DEFAULT_TOKENS_PER_MINUTE,
        key.concurrent_requests or settings.DEFAULT_CONCURRENT_REQUESTS,
    )


def allowance_of_wallet(wallet: Wallet) -> Allowance:
    """Return the limits per minute and at once of all keys of a wallet together."""
    return Allowance(
        wallet.requests_per_minute or settings.WALLET_REQUESTS_PER_MINUTE,
        wallet.tokens_per_minute or settings.WALLET_TOKENS_PER_MINUTE,
        wallet.concurrent_requests or settings.WALLET_CONCURRENT_REQUESTS,
    )
