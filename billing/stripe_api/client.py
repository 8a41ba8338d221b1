"""The client: how Stripe is called, and which of our errors stands for each of its errors."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import stripe
import structlog
from django.conf import settings
from django.db import connection

from billing.exceptions import (
    PaymentAccessRefused,
    PaymentObjectMissing,
    PaymentProviderAway,
    PaymentProviderError,
    PaymentProviderRefusal,
)

# The key of our order's id in the metadata of sessions, payment intents and their charges.
ORDER_KEY = "order_id"
# The key of our refund's id in the metadata of a refund that we asked for.
REFUND_KEY = "refund_id"
CONNECT_TIMEOUT_S = 5
# The SDK repeats calls that fail on the network or with 409 or 5xx, with the same idempotency key.
NETWORK_RETRIES = 2
# After these nothing was done. After an IdempotencyError the first call may have worked.
REFUSALS = (
    stripe.InvalidRequestError,
    stripe.AuthenticationError,
    stripe.PermissionError,
    stripe.CardError,
)
# Of our key, whatever it was used for.
ACCESS = (stripe.AuthenticationError, stripe.PermissionError)
# No answer, too many calls, or a gateway's error: the next call would fail as well.
AWAY = (None, 429, 502, 503, 504)

log = structlog.get_logger(__name__)


@contextmanager
def call_stripe() -> Iterator[stripe.StripeClient]:
    """Give the client, and turn its errors into ours. Refused inside a transaction.

    Our errors' messages may be shown to a customer; Stripe's own go to the log.
    """
    release_connection()
    try:
        yield _client(
            settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE, settings.STRIPE_TIMEOUT_S
        )
    except stripe.StripeError as error:
        log.warning(
            "stripe_call_failed",
            error=type(error).__name__,
            code=error.code,
            status=error.http_status,
            stripe_request_id=error.request_id,
            message=error.user_message,
        )
        raise _translate(error) from error


def release_connection() -> None:
    """Give the thread's database connection back to the pool. Refused inside a transaction."""
    # Django marks the transaction around a test case, which the product did not open.
    if any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks):
        raise RuntimeError("Stripe must not be called inside a transaction.")
    if not connection.atomic_blocks:
        connection.close()


def parse_order_id(text: str) -> uuid.UUID | None:
    """Return the order's id in a text of Stripe's metadata or reference; None if it is no id."""
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def read_metadata(metadata: stripe.StripeObject | None, key: str) -> str:
    """Return the value of a metadata key; empty if there is none."""
    return str(metadata[key]) if metadata is not None and key in metadata else ""


def _translate(error: stripe.StripeError) -> PaymentProviderError:
    # A decline's own code says more, and not every kind of error has a `param`.
    code = getattr(error.error, "decline_code", None) or error.code or ""
    about = {"code": code, "param": getattr(error, "param", None) or ""}
    if error.code == "resource_missing":
        return PaymentObjectMissing("The payment provider does not know this payment.", **about)
    if isinstance(error, ACCESS):
        return PaymentAccessRefused("The payment provider refused our key.", **about)
    if isinstance(error, REFUSALS):
        return PaymentProviderRefusal("The payment provider refused the request.", **about)
    text = "The payment provider did not answer. Please try again."
    if error.http_status in AWAY:
        return PaymentProviderAway(text)
    return PaymentProviderError(text)


@lru_cache(maxsize=4)
def _client(secret_key: str, api_base: str, timeout_s: int) -> stripe.StripeClient:
    """Return the client for these settings, which all threads of a process share."""
    return stripe.StripeClient(
        secret_key,
        base_addresses={"api": api_base} if api_base else {},
        max_network_retries=NETWORK_RETRIES,
        http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT_S, timeout_s)),
    )
