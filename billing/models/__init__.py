"""The tables of money. `billing/README.md` says what each means and who may write it."""

from billing.models.catalogue import ModelPrice, Pack, PublicModel
from billing.models.inbox import InboxItem
from billing.models.ledger import LedgerEntry, Lot
from billing.models.purchase import Purchase
from billing.models.stripe_event import StripeEvent
from billing.models.usage import KeySpending, UsageRecord
from billing.models.wallet import Debit, Wallet

__all__ = [
    "Debit",
    "InboxItem",
    "KeySpending",
    "LedgerEntry",
    "Lot",
    "ModelPrice",
    "Pack",
    "PublicModel",
    "Purchase",
    "StripeEvent",
    "UsageRecord",
    "Wallet",
]
