"""Who is mailed what about API keys: their makers, and those who manage everybody's."""

from typing import Any

from accounts.models import ApiKey
from accounts.teams.members import members_who
from accounts.teams.roles import Deed
from billing.models import Notice
from billing.notices.notify import as_fact, notify
from billing.notices.webhooks.deliveries import announce

Kind = Notice.Kind


def notify_new_key(key: ApiKey) -> None:
    """Say that an API key was made. The mail does not contain the secret."""
    _notify(key, Kind.NEW_KEY, reference=f"key:{key.pk}")


def notify_key_rotated(key: ApiKey) -> None:
    """Say that a key has a new secret, and until when the old one works."""
    _notify(
        key,
        Kind.KEY_ROTATED,
        reference=f"key:{key.pk}:{key.digest[:32]}",
        previous_hint=key.previous_hint,
        previous_expires_at=as_fact(key.previous_expires_at),
    )


def notify_key_revoked(key: ApiKey) -> None:
    """Say that a key was revoked."""
    _notify(key, Kind.KEY_REVOKED, reference=f"key:{key.pk}")


def _notify(key: ApiKey, kind: Notice.Kind, *, reference: str, **facts: Any) -> None:
    facts |= {"name": key.name, "hint": key.hint}
    announce(key.team, kind, reference=reference, facts={**facts, "key_id": key.pk})
    managers = members_who(key.team, Deed.GET_KEY_MAIL)
    for user in {each.pk: each for each in (key.created_by, *managers)}.values():
        notify(user, kind, reference=reference, team=key.team, **facts)
