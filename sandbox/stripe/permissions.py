"""What a restricted key may do: each resource it may read, and which it may write as well.

Without any permission set the key is a secret one, which may do everything. Stripe's own names:
those of https://docs.stripe.com/keys/restricted-api-keys as its refusals spell them.
"""

import json
import re
from typing import Literal, cast, get_args

from sandbox.stripe.errors import Forbidden
from sandbox.stripe.store import Store

Level = Literal["read", "write"]
LEVELS: tuple[str, ...] = get_args(Level)

# The first pattern that fits the beginning of a path names the permission that it needs.
_OF_PATH = {
    "/v1/balance": "balance",
    "/v1/charges": "charge",
    "/v1/checkout/sessions": "checkout_session",
    "/v1/coupons": "coupon",
    "/v1/customers/[^/]+/payment_methods": "payment_method",
    "/v1/customers": "customer",
    "/v1/disputes": "dispute",
    "/v1/events": "event",
    "/v1/invoices": "invoice",
    "/v1/payment_intents": "payment_intent",
    "/v1/payment_methods": "payment_method",
    "/v1/prices": "plan",
    "/v1/products": "product",
    "/v1/promotion_codes": "promotion_code",
    "/v1/radar": "radar",
    "/v1/refunds": "charge",
    "/v1/setup_intents": "setup_intent",
    "/v1/webhook_endpoints": "webhook",
}
_OF_KIND = {
    "balance_transaction": "balance",
    "checkout.session": "checkout_session",
    "price": "plan",
    "radar.early_fraud_warning": "radar",
    "refund": "charge",
}
NAMES = frozenset(_OF_PATH.values())
_SETTING = "permissions"


def restrict(store: Store, given: dict[str, Level]) -> None:
    """Permit only this from now on; nothing given means everything again."""
    store.set_setting(_SETTING, json.dumps(given))


def check_call(store: Store, method: str, path: str) -> None:
    """Raise Forbidden unless the key may make this call. An unknown path is not ours to refuse."""
    name = next((name for known, name in _OF_PATH.items() if re.match(known, path)), None)
    if name:
        _check(store, name, "read" if method == "GET" else "write")


def check_expansion(store: Store, kind: str) -> None:
    """Raise Forbidden unless the key may read what an expansion would show."""
    _check(store, _OF_KIND.get(kind, kind), "read")


def _check(store: Store, name: str, level: Level) -> None:
    permitted = cast(dict[str, Level], json.loads(store.setting(_SETTING, "{}")))
    if not permitted or permitted.get(name) in (level, "write"):
        return
    raise Forbidden(
        "The provided key does not have the required permissions for this endpoint on account "
        f"'acct_sandbox'. Having the 'rak_{name}_{level}' permission would allow this request to "
        "continue."
    )
