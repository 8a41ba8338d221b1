"""The tables of money. `billing/README.md` says what each means and who may write it."""

from billing.models.catalogue import ModelPrice, Pack, PublicModel
from billing.models.gift import CodeBatch, RedeemCode, WelcomeCredit
from billing.models.inbox import InboxItem
from billing.models.ledger import LedgerEntry, Lot
from billing.models.notice import Notice, NotificationSettings, SignIn
from billing.models.purchase import Purchase
from billing.models.stripe_event import StripeEvent
from billing.models.usage import UsageRecord
from billing.models.wallet import Debit, Wallet

__all__ = [
    "CodeBatch",
    "Debit",
    "InboxItem",
    "LedgerEntry",
    "Lot",
    "ModelPrice",
    "Notice",
    "NotificationSettings",
    "Pack",
    "PublicModel",
    "Purchase",
    "RedeemCode",
    "SignIn",
    "StripeEvent",
    "UsageRecord",
    "Wallet",
    "WelcomeCredit",
]
