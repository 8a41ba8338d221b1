"""API keys: create, limit, rotate, revoke, find.

What is done here changes the row alone. `billing.services.api_keys` wraps these calls and tells
the wallet, which is what makes a change effective at once in every web process.
"""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.networks import clean_networks
from accounts.secrets import make_secret

MOST_MODELS = 200


@dataclass(frozen=True, slots=True)
class KeySettings:
    """What a key may do. None is the site's default, or no cap; empty is everything."""

    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    lifetime_cap_credits: int | None = None
    monthly_cap_credits: int | None = None
    allowed_models: tuple[str, ...] = ()
    allowed_networks: tuple[str, ...] = ()

    @classmethod
    def of(cls, key: ApiKey) -> "KeySettings":
        """Return those of a key."""
        values = {field.name: getattr(key, field.name) for field in fields(cls)}
        values["allowed_models"] = tuple(key.allowed_models)
        values["allowed_networks"] = tuple(key.allowed_networks)
        return cls(**values)

    def apply_to(self, key: ApiKey) -> list[str]:
        """Set them on a key that is not saved yet. Returns the fields. Raises BadNetwork."""
        names = [field.name for field in fields(self)]
        for name in names:
            setattr(key, name, getattr(self, name))
        key.allowed_models = list(dict.fromkeys(self.allowed_models))[:MOST_MODELS]
        key.allowed_networks = clean_networks(self.allowed_networks)
        return names


@transaction.atomic
def create_api_key(
    user: User, *, name: str, settings: KeySettings | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be read again.

    Raises BadNetwork.
    """
    secret = make_secret()
    key = ApiKey(user=user, name=name.strip() or "API key", digest=secret.digest, hint=secret.hint)
    (settings or KeySettings()).apply_to(key)
    key.save()
    return key, secret.text


def change_api_key(key: ApiKey, *, name: str, settings: KeySettings) -> None:
    """Rename a key and set what it may do. Safe to repeat. Raises BadNetwork."""
    key.name = name.strip() or key.name
    key.save(update_fields=["name", *settings.apply_to(key)])


@transaction.atomic
def rotate_api_key(key: ApiKey, *, overlap: timedelta) -> str | None:
    """Give a key a new secret, and let the present one work for as long as `overlap`.

    Returns the new secret, or None if the key is not usable or is being rotated already.
    """
    locked, now = ApiKey.objects.select_for_update().get(pk=key.pk), timezone.now()
    if not locked.is_usable(now) or locked.is_rotating(now):
        return None
    secret = make_secret()
    if overlap:
        key.previous_digest, key.previous_hint = locked.digest, locked.hint
        key.previous_expires_at = now + overlap
    else:
        _forget_previous(key)
    key.digest, key.hint = secret.digest, secret.hint
    key.save(update_fields=["digest", "hint", *PREVIOUS])
    return secret.text


def end_rotation(key: ApiKey) -> bool:
    """Let the old secret stop working now. False if there is none. Safe to repeat."""
    had_one = key.is_rotating(timezone.now())
    _forget_previous(key)
    key.save(update_fields=PREVIOUS)
    return had_one


def revoke_api_key(key: ApiKey) -> bool:
    """Revoke a key for good. False if it already was. Safe to repeat."""
    return ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()) == 1


def keys_with_digest(digest: str, *, at: datetime) -> "QuerySet[ApiKey]":
    """Return the key with this digest, or one that is being rotated from it; revoked or not."""
    is_this = Q(digest=digest) | Q(previous_digest=digest, previous_expires_at__gt=at)
    return ApiKey.objects.filter(is_this)


def usable_keys(user: User, *, at: datetime) -> "QuerySet[ApiKey]":
    """Return a person's keys that work at this instant."""
    is_alive = Q(expires_at=None) | Q(expires_at__gt=at)
    return ApiKey.objects.filter(is_alive, user=user, revoked_at=None)


PREVIOUS = ["previous_digest", "previous_hint", "previous_expires_at"]


def _forget_previous(key: ApiKey) -> None:
    key.previous_digest, key.previous_hint, key.previous_expires_at = None, "", None
