"""API keys: create, rename, revoke, find.

Revoking here changes the row alone. `billing.services.api_keys` wraps these calls and tells the
wallet, which is what makes a change effective at once in every web process.
"""

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.secrets import make_secret


@transaction.atomic
def create_api_key(
    user: User, *, name: str, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be read again."""
    secret = make_secret()
    key = ApiKey.objects.create(
        user=user,
        name=name.strip() or "API key",
        digest=secret.digest,
        hint=secret.hint,
        expires_at=expires_at,
    )
    return key, secret.text


def revoke_api_key(key: ApiKey) -> bool:
    """Revoke a key for good. False if it already was. Safe to repeat."""
    return ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()) == 1


def find_api_key(digest: str) -> ApiKey | None:
    """Return the key with this digest, revoked or not, with its owner."""
    return ApiKey.objects.select_related("user").filter(digest=digest).first()
