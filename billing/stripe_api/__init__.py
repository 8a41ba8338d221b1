"""Stripe's API, as far as the product uses it: every call to Stripe is made in this package.

No transaction is open and no database connection is held while a call waits for Stripe. Answers
are returned as small values of ours, so that nothing else depends on the SDK's objects.
"""

from billing.stripe_api.charges import (
    Charge,
    DisputeState,
    RefundState,
    read_charge,
    read_warned_charge,
)
from billing.stripe_api.checkouts import (
    SESSION_ID,
    Checkout,
    create_checkout,
    expire_checkout,
    read_checkout,
)
from billing.stripe_api.client import ORDER_KEY, REFUND_KEY, call_stripe, parse_order_id
from billing.stripe_api.refunds import create_refund

__all__ = [
    "ORDER_KEY",
    "REFUND_KEY",
    "SESSION_ID",
    "Charge",
    "Checkout",
    "DisputeState",
    "RefundState",
    "call_stripe",
    "create_checkout",
    "create_refund",
    "expire_checkout",
    "parse_order_id",
    "read_charge",
    "read_checkout",
    "read_warned_charge",
]
