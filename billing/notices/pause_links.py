"""Links that pause one API key without logging in: a program that learns of a leap may follow one.

The signature is the right. All that it can do is undone with *Resume*.
"""

from datetime import timedelta

from django.conf import settings
from django.core import signing
from django.urls import reverse

from accounts.models import ApiKey

SALT = "billing.pause_key"
LIFETIME = timedelta(days=3)


def make_pause_link(key: ApiKey) -> str:
    """Return the address at which a POST pauses this key, for a few days."""
    return settings.SITE_URL + reverse("pause-key", args=[signing.dumps(key.pk, salt=SALT)])


def find_key_to_pause(signed: str) -> ApiKey | None:
    """Return the key of a link; None if we did not make the link, or it has ended."""
    try:
        pk = signing.loads(signed, salt=SALT, max_age=LIFETIME)
    except signing.BadSignature:
        return None
    return ApiKey.objects.select_related("team").filter(pk=pk, revoked_at=None).first()
