"""Look-ups of API keys. Only `billing.keys.api_keys` changes a key."""

from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.models import ApiKey, User


def keys_with_digest(digest: str, *, at: datetime) -> QuerySet[ApiKey]:
    """Return the key with this digest, or one that is being rotated from it; revoked or not."""
    is_this = Q(digest=digest) | Q(previous_digest=digest, previous_expires_at__gt=at)
    return ApiKey.objects.filter(is_this)


def usable_keys(user: User, *, at: datetime) -> QuerySet[ApiKey]:
    """Return a person's keys that work at this instant."""
    is_alive = Q(expires_at=None) | Q(expires_at__gt=at)
    return ApiKey.objects.filter(is_alive, user=user, revoked_at=None)
