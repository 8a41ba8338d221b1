"""What customers are mailed about their API keys."""

from accounts.models import ApiKey
from billing.models import Notice
from billing.notices.notify import notify

Kind = Notice.Kind


def notify_new_key(key: ApiKey) -> None:
    """Say that an API key was made. The secret is in no mail."""
    notify(key.user, Kind.NEW_KEY, reference=f"key:{key.pk}", name=key.name, hint=key.hint)
