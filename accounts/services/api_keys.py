"""API keys: create, limit, rotate, revoke, find.

What is done here changes the row alone. `billing.keys.api_keys` wraps these calls and tells
the wallet, which is what makes a change effective at once in every web process.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.secrets import make_secret
from common.networks import clean_networks

MOST_MODELS = 200
# What PostgreSQL's integer holds.
MOST_PER_MINUTE = 2_147_483_647


class TooManyModels(ValueError):
    """A key names more models than it may. The message is for whoever named them."""


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
        """Set them on a key that is not saved yet. Returns the fields.

        Raises BadNetwork, TooManyModels; the key is then as it was.
        """
        lists = {
            "allowed_models": clean_models(self.allowed_models),
            "allowed_networks": clean_networks(self.allowed_networks),
        }
        names = [field.name for field in fields(self)]
        for name in names:
            setattr(key, name, lists.get(name, getattr(self, name)))
        return names


def clean_models(names: Iterable[str]) -> list[str]:
    """Return models without repetitions. Raises TooManyModels."""
    models = list(dict.fromkeys(names))
    if len(models) > MOST_MODELS:
        raise TooManyModels(f"At most {MOST_MODELS} models; these are {len(models)}.")
    return models


@transaction.atomic
def create_api_key(
    user: User, *, name: str, settings: KeySettings | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be read again.

    Raises BadNetwork, TooManyModels.
    """
    secret = make_secret()
    key = ApiKey(user=user, name=name.strip() or "API key", digest=secret.digest, hint=secret.hint)
    (settings or KeySettings()).apply_to(key)
    key.save()
    return key, secret.text


@transaction.atomic
def change_api_key(
    key: ApiKey, change: Callable[[KeySettings], KeySettings], *, name: str = ""
) -> tuple[KeySettings, KeySettings] | None:
    """Change what a key may do, from what it may do now, and its name unless that is empty.

    Returns both, or None if the key is revoked, which is for good. Safe to repeat. Raises
    BadNetwork, TooManyModels.
    """
    locked = _lock(key)
    if locked.revoked_at is not None:
        return None
    before = KeySettings.of(locked)
    names = change(before).apply_to(key)
    key.name = name.strip() or locked.name
    key.save(update_fields=["name", *names])
    return before, KeySettings.of(key)


@transaction.atomic
def rotate_api_key(key: ApiKey, *, overlap: timedelta) -> str | None:
    """Give a key a new secret, and let the present one work for as long as `overlap`.

    Returns the new secret, or None if the key is not usable or is being rotated already.
    """
    locked, now = _lock(key), timezone.now()
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


@transaction.atomic
def end_rotation(key: ApiKey) -> bool:
    """Let the old secret of `key` stop working now. False if it does not work. Safe to repeat.

    Another old secret, of a rotation that began since `key` was read, goes on working.
    """
    locked = _lock(key)
    had_one = locked.is_rotating(timezone.now()) and locked.previous_digest == key.previous_digest
    _forget_previous(key)
    if had_one:
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


def _lock(key: ApiKey) -> ApiKey:
    """Return the key as it is now, and keep everybody else from changing it."""
    return ApiKey.objects.select_for_update().get(pk=key.pk)


def _forget_previous(key: ApiKey) -> None:
    key.previous_digest, key.previous_hint, key.previous_expires_at = None, "", None
