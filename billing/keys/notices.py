"""What customers are mailed about their API keys."""

from accounts.models import ApiKey
from billing.models import Notice
from billing.notices.notify import as_fact, notify

Kind = Notice.Kind


def notify_new_key(key: ApiKey) -> None:
    """Say that an API key was made. The mail does not contain the secret."""
    notify(key.user, Kind.NEW_KEY, reference=f"key:{key.pk}", name=key.name, hint=key.hint)


def notify_key_rotated(key: ApiKey) -> None:
    """Say that a key has a new secret, and until when the old one works."""
    notify(
        key.user,
        Kind.KEY_ROTATED,
        reference=f"key:{key.pk}:{key.digest[:32]}",
        name=key.name,
        hint=key.hint,
        previous_hint=key.previous_hint,
        previous_expires_at=as_fact(key.previous_expires_at),
    )


def notify_key_revoked(key: ApiKey) -> None:
    """Say that a key was revoked."""
    notify(key.user, Kind.KEY_REVOKED, reference=f"key:{key.pk}", name=key.name, hint=key.hint)
