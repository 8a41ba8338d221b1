"""API keys: issue, change, rotate, revoke.

Only this module writes keys. Each change is noted on the wallet in the same transaction and pushed
to Redis, so that every web process knows of it with the next request.
"""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings as site
from django.db import transaction
from django.utils import timezone

from accounts.api_keys import usable_keys
from accounts.models import ApiKey, User
from accounts.secrets import make_secret
from billing.exceptions import KeyNotUsable, RotationUnderWay, SignedOut, TooManyKeys
from billing.keys.notices import notify_key_revoked, notify_key_rotated, notify_new_key
from billing.keys.settings import KeySettings
from billing.ledger.credits import lock_wallet
from billing.ledger.pushes import push_on_commit
from billing.ledger.wallets import get_wallet
from billing.models import KeySpending
from billing.wallet.usage import month_of

DEFAULT_OVERLAP = timedelta(hours=24)
PREVIOUS = ["previous_digest", "previous_hint", "previous_expires_at"]


@transaction.atomic
def issue_api_key(
    user: User, *, name: str, settings: KeySettings | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be read again.

    Raises SignedOut, TooManyKeys, BadNetwork, TooManyModels.
    """
    # Under the lock, so that two calls at once are counted one after the other.
    lock_wallet(get_wallet(user).pk)
    if not User.objects.filter(pk=user.pk, password=user.password).exists():
        raise SignedOut("The password was changed meanwhile. Log in again.")
    if usable_keys(user, at=timezone.now()).count() >= site.MAX_API_KEYS:
        raise TooManyKeys(
            f"There are {site.MAX_API_KEYS} keys already. Revoke one that is not needed any more."
        )
    secret = make_secret()
    key = ApiKey(user=user, name=name.strip() or "API key", digest=secret.digest, hint=secret.hint)
    (settings or KeySettings()).apply_to(key)
    key.save()
    notify_new_key(key)
    return key, secret.text


def change_api_key(key: ApiKey, *, name: str, settings: KeySettings) -> None:
    """Rename a key and set what it may do, at once in every process. Safe to repeat.

    Raises KeyNotUsable if it is revoked, BadNetwork, TooManyModels.
    """
    adjust_api_key(key, lambda _: settings, name=name)


@transaction.atomic
def adjust_api_key(
    key: ApiKey, change: Callable[[KeySettings], KeySettings], *, name: str = ""
) -> tuple[KeySettings, KeySettings]:
    """Apply `change` to a key's present settings, and rename the key unless `name` is empty.

    Returns the settings before and after. Safe to repeat if `change` is. Raises KeyNotUsable if the
    key is revoked, BadNetwork, TooManyModels.
    """
    locked = _lock(key)
    if locked.revoked_at is not None:
        raise KeyNotUsable("The key is revoked.")
    before = KeySettings.of(locked)
    names = change(before).apply_to(key)
    key.name = name.strip() or locked.name
    key.save(update_fields=["name", *names])
    note_key_changed(key)
    return before, KeySettings.of(key)


@transaction.atomic
def rotate_api_key(key: ApiKey, *, overlap: timedelta = DEFAULT_OVERLAP) -> str:
    """Give a key a new secret; the old one works for as long as `overlap`. Returns the secret.

    Limits, spending and receipts stay with the key. Raises KeyNotUsable, RotationUnderWay.
    """
    locked, now = _lock(key), timezone.now()
    if not locked.is_usable(now):
        raise KeyNotUsable("The key is revoked or has expired.")
    if locked.is_rotating(now):
        raise RotationUnderWay("The secret before this one still works. End it first.")
    secret = make_secret()
    if overlap:
        key.previous_digest, key.previous_hint = locked.digest, locked.hint
        key.previous_expires_at = now + overlap
    else:
        _forget_previous(key)
    key.digest, key.hint = secret.digest, secret.hint
    key.save(update_fields=["digest", "hint", *PREVIOUS])
    note_key_changed(key)
    notify_key_rotated(key)
    return secret.text


@transaction.atomic
def end_rotation(key: ApiKey) -> bool:
    """End the old secret of `key` now. False if it had ended before. Safe to repeat.

    The old secret of a rotation that began since `key` was read still works.
    """
    locked = _lock(key)
    had_one = locked.is_rotating(timezone.now()) and locked.previous_digest == key.previous_digest
    _forget_previous(key)
    if had_one:
        key.save(update_fields=PREVIOUS)
    note_key_changed(key)
    return had_one


@transaction.atomic
def revoke_api_key(key: ApiKey) -> bool:
    """Revoke a key for good, at once in every process. False if it was before. Safe to repeat."""
    usable = ApiKey.objects.filter(pk=key.pk, revoked_at=None)
    if usable.update(revoked_at=timezone.now()) != 1:
        return False
    note_key_changed(key)
    notify_key_revoked(key)
    return True


@transaction.atomic
def forget_keys(user: User) -> None:
    """Revoke every key of a customer who leaves, and overwrite what they called them. No mail."""
    theirs = ApiKey.objects.filter(user=user)
    theirs.filter(revoked_at=None).update(revoked_at=timezone.now())
    theirs.update(
        name="Deleted",
        allowed_networks=[],
        previous_digest=None,
        previous_hint="",
        previous_expires_at=None,
    )
    push_on_commit(get_wallet(user).pk)


@transaction.atomic
def note_key_changed(key: ApiKey) -> None:
    """Make every process read a changed key again."""
    push_on_commit(get_wallet(key.user).pk)


def has_api_keys(user: User) -> bool:
    """Tell whether a user ever had a key, revoked ones included."""
    return ApiKey.objects.filter(user=user).exists()


def booked_spending(user: User) -> dict[int, tuple[int, int]]:
    """Return the credits booked for each of a user's keys, in all and this month, by key id."""
    present = month_of(int(timezone.now().timestamp() * 1_000))
    spent: dict[int, tuple[int, int]] = {}
    for row in KeySpending.objects.filter(api_key__user=user):
        total, this_month = spent.get(row.api_key_id, (0, 0))
        is_present = row.month == present
        spent[row.api_key_id] = (
            total + row.charged_credits,
            this_month + (row.charged_credits if is_present else 0),
        )
    return spent


def _lock(key: ApiKey) -> ApiKey:
    """Return the key as it is now, with its row locked until the transaction ends."""
    return ApiKey.objects.select_for_update().get(pk=key.pk)


def _forget_previous(key: ApiKey) -> None:
    key.previous_digest, key.previous_hint, key.previous_expires_at = None, "", None
