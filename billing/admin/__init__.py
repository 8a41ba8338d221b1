"""The staff desk's pages about money: one module per noun.

Money tables are read-only for everyone. Actions change them (see `accounts.desk.actions`).
"""

from billing.admin import (
    api_keys,
    codes,
    debits,
    inbox,
    ledger,
    models,
    notices,
    orders,
    packs,
    returns,
    stripe_events,
    top_ups,
    usage,
    wallets,
)

__all__ = [
    "api_keys",
    "codes",
    "debits",
    "inbox",
    "ledger",
    "models",
    "notices",
    "orders",
    "packs",
    "returns",
    "stripe_events",
    "top_ups",
    "usage",
    "wallets",
]
