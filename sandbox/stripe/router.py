"""The table of every endpoint. A new resource is one module and one line here."""

from collections.abc import Mapping

from sandbox.stripe.errors import UnknownUrl
from sandbox.stripe.operation import Operation
from sandbox.stripe.resources import (
    balance,
    charges,
    checkout_sessions,
    coupons,
    customers,
    disputes,
    early_fraud_warnings,
    events,
    invoices,
    payment_intents,
    payment_methods,
    prices,
    products,
    promotion_codes,
    refunds,
    setup_intents,
    webhook_endpoints,
)

OPERATIONS: tuple[Operation, ...] = (
    *balance.OPERATIONS,
    *charges.OPERATIONS,
    *checkout_sessions.OPERATIONS,
    *coupons.OPERATIONS,
    *customers.OPERATIONS,
    *disputes.OPERATIONS,
    *early_fraud_warnings.OPERATIONS,
    *events.OPERATIONS,
    *invoices.OPERATIONS,
    *payment_intents.OPERATIONS,
    *payment_methods.OPERATIONS,
    *prices.OPERATIONS,
    *products.OPERATIONS,
    *promotion_codes.OPERATIONS,
    *refunds.OPERATIONS,
    *setup_intents.OPERATIONS,
    *webhook_endpoints.OPERATIONS,
)


def find_operation(method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation and the ids in its path, or raise UnknownUrl."""
    for operation in OPERATIONS:
        match = operation.pattern.match(path)
        if match and operation.method == method:
            return operation, match.groupdict()
    raise UnknownUrl(
        f"Unrecognized request URL ({method}: {path}). Please see https://stripe.com/docs or we "
        "can help at https://support.stripe.com/."
    )
