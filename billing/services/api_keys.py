"""API keys as the shop handles them: every change tells the wallet, so it holds at once."""

from datetime import datetime

from django.db import transaction

from accounts.models import ApiKey, User
from accounts.services import api_keys
from billing.services.notices import tell_new_key
from billing.services.pushes import push_on_commit
from billing.services.wallets import get_wallet


@transaction.atomic
def issue_api_key(
    user: User, *, name: str, expires_at: datetime | None = None
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which can't be read again."""
    get_wallet(user)
    key, secret = api_keys.create_api_key(user, name=name, expires_at=expires_at)
    tell_new_key(key)
    return key, secret


@transaction.atomic
def revoke_api_key(key: ApiKey) -> bool:
    """Revoke a key for good, in every process at once. False if it already was."""
    if not api_keys.revoke_api_key(key):
        return False
    push_on_commit(get_wallet(key.user).pk)
    return True


@transaction.atomic
def note_key_changed(key: ApiKey) -> None:
    """Make every process read a key anew, after its limits or expiry were changed."""
    push_on_commit(get_wallet(key.user).pk)


def has_api_keys(user: User) -> bool:
    """Tell whether a person ever had a key, revoked ones included."""
    return ApiKey.objects.filter(user=user).exists()
