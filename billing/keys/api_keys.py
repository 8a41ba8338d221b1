"""API keys as the shop handles them: every change tells the wallet, so it holds at once."""

from collections.abc import Callable
from datetime import timedelta

from django.conf import settings as site
from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey, User
from accounts.services import api_keys
from accounts.services.api_keys import KeySettings
from billing.exceptions import KeyNotUsable, RotationUnderWay, TooManyKeys
from billing.ledger.credits import lock_wallet
from billing.ledger.pushes import push_on_commit
from billing.ledger.wallets import get_wallet
from billing.models import KeySpending
from billing.notices.tell import tell_key_revoked, tell_key_rotated, tell_new_key
from billing.wallet.usage import month_of

DEFAULT_OVERLAP = timedelta(hours=24)


@transaction.atomic
def issue_api_key(
    user: User, *, name: str, settings: KeySettings | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be read again.

    Raises TooManyKeys, BadNetwork, TooManyModels.
    """
    # Locked, so that two who ask at once are counted one after the other.
    lock_wallet(get_wallet(user).pk)
    if api_keys.usable_keys(user, at=timezone.now()).count() >= site.MAX_API_KEYS:
        raise TooManyKeys(
            f"There are {site.MAX_API_KEYS} keys already. Revoke one that is not needed any more."
        )
    key, secret = api_keys.create_api_key(user, name=name, settings=settings)
    tell_new_key(key)
    return key, secret


def change_api_key(key: ApiKey, *, name: str, settings: KeySettings) -> None:
    """Rename a key and set what it may do, in every process at once.

    Raises KeyNotUsable if it is revoked, BadNetwork, TooManyModels.
    """
    adjust_api_key(key, lambda _: settings, name=name)


@transaction.atomic
def adjust_api_key(
    key: ApiKey, change: Callable[[KeySettings], KeySettings], *, name: str = ""
) -> tuple[KeySettings, KeySettings]:
    """Change what a key may do, from what it may do now, in every process at once. Returns both.

    Raises KeyNotUsable if it is revoked, BadNetwork, TooManyModels.
    """
    changed = api_keys.change_api_key(key, change, name=name)
    if changed is None:
        raise KeyNotUsable("The key is revoked.")
    note_key_changed(key)
    return changed


@transaction.atomic
def rotate_api_key(key: ApiKey, *, overlap: timedelta = DEFAULT_OVERLAP) -> str:
    """Give a key a new secret; the old one works for as long as `overlap`. Returns the secret.

    Limits, spending and receipts go on. Raises KeyNotUsable, RotationUnderWay.
    """
    secret = api_keys.rotate_api_key(key, overlap=overlap)
    if secret is None:
        if key.is_usable(timezone.now()):
            raise RotationUnderWay("The secret before this one still works. End it first.")
        raise KeyNotUsable("The key is revoked or has expired.")
    note_key_changed(key)
    tell_key_rotated(key)
    return secret


@transaction.atomic
def end_rotation(key: ApiKey) -> bool:
    """Let the old secret stop working now. False if there is none."""
    had_one = api_keys.end_rotation(key)
    note_key_changed(key)
    return had_one


@transaction.atomic
def revoke_api_key(key: ApiKey) -> bool:
    """Revoke a key for good, in every process at once. False if it already was."""
    if not api_keys.revoke_api_key(key):
        return False
    note_key_changed(key)
    tell_key_revoked(key)
    return True


@transaction.atomic
def note_key_changed(key: ApiKey) -> None:
    """Make every process read a key anew, after its limits or expiry were changed."""
    push_on_commit(get_wallet(key.user).pk)


def has_api_keys(user: User) -> bool:
    """Tell whether a person ever had a key, revoked ones included."""
    return ApiKey.objects.filter(user=user).exists()


def booked_spending(user: User) -> dict[int, tuple[int, int]]:
    """Return what each of a person's keys spent in all and this month, as far as it is booked."""
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
