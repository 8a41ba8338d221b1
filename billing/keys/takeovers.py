"""Take an account over from whoever signed up with an address that was never confirmed.

Its reader resets the password, and so shows whose address it is. Whatever opens the account or
spends its balance until then may be a stranger's, so it ends.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.addresses import is_confirmed, lock_user, other_addresses
from accounts.models import ApiKey, User
from billing.keys.api_keys import revoke_api_key
from billing.ledger.credits import lock_wallet
from billing.ledger.wallets import wallet_of
from billing.models import SignIn


@dataclass(frozen=True)
class Doubtful:
    """What of an account may be a stranger's."""

    keys: Sequence[str] = ()
    addresses: Sequence[str] = ()
    sessions: int = 0
    factors: int = 0

    def __bool__(self) -> bool:
        return bool(self.keys or self.addresses or self.sessions or self.factors)

    def __str__(self) -> str:
        """Return a list in words, such as "2 API keys and 1 sign-in"."""
        counts = {
            "API key": len(self.keys),
            "e-mail address": len(self.addresses),
            "sign-in": self.sessions,
            "second factor": self.factors,
        }
        parts = [f"{n} {what}{_plural(n, what)}" for what, n in counts.items() if n]
        return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))

    def as_facts(self) -> dict[str, object]:
        return asdict(self)


def find_doubtful(user: User) -> Doubtful:
    """Return what a reset of the password ends. Nothing if the address was confirmed.

    Nothing either where nobody had a password yet: staff made that account, and its keys.
    """
    if is_confirmed(user) or not user.has_usable_password():
        return Doubtful()
    return Doubtful(
        keys=[key.hint for key in _keys(user)],
        addresses=other_addresses(user),
        sessions=UserSession.objects.filter(user=user).count(),
        factors=Authenticator.objects.filter(user=user).count(),
    )


@transaction.atomic
def end_doubtful(user: User) -> Doubtful:
    """End what a stranger may have made, and return it. Safe to repeat.

    Call it before the new password is set, in the same transaction. A key that is made meanwhile
    waits for the wallet's lock, and is then refused because the password is another one.
    """
    found = find_doubtful(lock_user(user))
    if not found:
        return found
    lock_wallet(wallet_of(user).pk)
    keys = _keys(user)
    for key in keys:
        revoke_api_key(key)
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    Authenticator.objects.filter(user=user).delete()
    SignIn.objects.filter(user=user).delete()
    for session in UserSession.objects.filter(user=user):
        session.end()
    return Doubtful([key.hint for key in keys], found.addresses, found.sessions, found.factors)


def _plural(count: int, what: str) -> str:
    if count == 1:
        return ""
    return "es" if what.endswith("s") else "s"


def _keys(user: User) -> list[ApiKey]:
    now = timezone.now()
    is_alive = Q(expires_at=None) | Q(expires_at__gt=now)
    theirs = ApiKey.objects.filter(is_alive, created_by=user, revoked_at=None)
    return list(theirs.filter(is_left_to_team=False).order_by("pk"))
