"""The headers that prove a delivery to be ours, after Standard Webhooks 1.0.0.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import secrets
from datetime import datetime

from billing.models import Webhook, WebhookDelivery
from common.encryption import decrypt_secret

PREFIX = "whsec_"
# The specification asks for 24 to 64.
SECRET_BYTES = 32


def make_webhook_secret() -> str:
    """Return a new secret, as its receiver enters it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def sign(secret: str, message_id: str, at_s: int, body: str) -> str:
    """Return one signature. `at_s` is the instant of the attempt."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    signed = f"{message_id}.{at_s}.{body}".encode()
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed_headers(delivery: WebhookDelivery, *, at: datetime) -> dict[str, str]:
    """Return the headers of an attempt. While a secret is renewed, it is signed with both."""
    at_s = int(at.timestamp())
    signatures = [
        sign(secret, delivery.message_id, at_s, delivery.body)
        for secret in _secrets(delivery.webhook, at)
    ]
    return {
        "webhook-id": delivery.message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signatures),
    }


def _secrets(webhook: Webhook, at: datetime) -> list[str]:
    found = [webhook.encrypted_secret]
    ends_at = webhook.previous_expires_at
    if webhook.encrypted_previous and ends_at and ends_at > at:
        found.append(webhook.encrypted_previous)
    return [decrypt_secret(bytes(each)) for each in found]
