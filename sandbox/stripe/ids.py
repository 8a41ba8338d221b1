"""Ids that look like Stripe's: its prefixes and its lengths."""

import secrets
import string

_ALPHABET = string.ascii_letters + string.digits

# Prefix (with the version digit Stripe puts after it) and count of random characters.
_SHAPES = {
    "balance_transaction": ("txn_3", 23),
    "charge": ("ch_3", 23),
    "checkout.session": ("cs_test_a1", 56),
    "coupon": ("", 8),
    "customer": ("cus_", 14),
    "dispute": ("dp_1", 23),
    "event": ("evt_1", 23),
    "invoice": ("in_1", 23),
    "item": ("li_1", 23),
    "line_item": ("il_1", 23),
    "payment_intent": ("pi_3", 23),
    "payment_method": ("pm_1", 23),
    "price": ("price_1", 23),
    "product": ("prod_", 14),
    "promotion_code": ("promo_1", 23),
    "radar.early_fraud_warning": ("issfr_1", 23),
    "refund": ("re_3", 23),
    "request": ("req_", 14),
    "setup_intent": ("seti_1", 23),
    "tax_id": ("txi_1", 23),
    "webhook_endpoint": ("we_1", 23),
}


def random_text(length: int) -> str:
    """Return base62 characters."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def new_id(kind: str) -> str:
    """Return a fresh id for an object of this kind (its `object` value)."""
    prefix, length = _SHAPES[kind]
    return prefix + random_text(length)
