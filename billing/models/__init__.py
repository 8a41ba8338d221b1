"""The tables of money. `billing/README.md` says what each means and who may write it."""

from billing.models.approval import Approval
from billing.models.catalogue import (
    ModelPrice,
    Pack,
    PackPrice,
    PriceCancellation,
    PublicModel,
)
from billing.models.custom_amount import AmountOffer, AmountStep
from billing.models.daily_job import DailyJob
from billing.models.dispute import Dispute
from billing.models.export import Export, ExportPart
from billing.models.gift import CodeBatch, RedeemCode, WelcomeCredit
from billing.models.inbox import InboxItem
from billing.models.ledger import LedgerEntry, Lot
from billing.models.notice import Notice, NotificationSettings, SignIn
from billing.models.order import Order
from billing.models.promotion import Promotion
from billing.models.refund import Refund
from billing.models.revenue import ExchangeRate, Revenue
from billing.models.roll_up import (
    KeySpan,
    RollUpDue,
    RollUpMark,
    RollUpRange,
    SiteRollUp,
    UsageDay,
    UsageRollUp,
)
from billing.models.shard_home import ShardHome
from billing.models.staff_note import StaffNote
from billing.models.status import StatusNews, StatusSubscription
from billing.models.stripe_customer import StripeCustomer
from billing.models.stripe_event import StripeEvent
from billing.models.top_up import AutoTopUp, TopUpConsent, TopUpPayment
from billing.models.usage import KeySpending, KeyWriteOff, MemberSpending, UsageRecord
from billing.models.wallet import Debit, Freeze, Wallet
from billing.models.webhook import Webhook, WebhookDelivery

__all__ = [
    "AmountOffer",
    "AmountStep",
    "Approval",
    "AutoTopUp",
    "CodeBatch",
    "DailyJob",
    "Debit",
    "Dispute",
    "ExchangeRate",
    "Export",
    "ExportPart",
    "Freeze",
    "InboxItem",
    "KeySpan",
    "KeySpending",
    "KeyWriteOff",
    "LedgerEntry",
    "Lot",
    "MemberSpending",
    "ModelPrice",
    "Notice",
    "NotificationSettings",
    "Order",
    "Pack",
    "PackPrice",
    "PriceCancellation",
    "Promotion",
    "PublicModel",
    "RedeemCode",
    "Refund",
    "Revenue",
    "RollUpDue",
    "RollUpMark",
    "RollUpRange",
    "ShardHome",
    "SignIn",
    "SiteRollUp",
    "StaffNote",
    "StatusNews",
    "StatusSubscription",
    "StripeCustomer",
    "StripeEvent",
    "TopUpConsent",
    "TopUpPayment",
    "UsageDay",
    "UsageRecord",
    "UsageRollUp",
    "Wallet",
    "Webhook",
    "WebhookDelivery",
    "WelcomeCredit",
]
